package io.github.flashlla.bench;

import io.github.flashlla.record.DeviceFacts.Ceilings;
import java.util.List;

/**
 * What a parent asks of a {@link Worker}, as one JSON file.
 *
 * @param device its name
 * @param tasks what to measure, in order
 * @param protocol how
 * @param ceilings what an earlier process of the device measured; null if this one has to
 * @param events file to append events to
 */
record WorkerOrder(String device, List<Task> tasks, Protocol protocol, Ceilings ceilings, String events) {}
