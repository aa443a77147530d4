package io.github.flashlla.bench;

import java.util.List;

/** What a parent asks of a {@link Worker}, as one JSON file. */
record WorkerOrder(String device, List<Task> tasks, Protocol protocol, String events) {}
