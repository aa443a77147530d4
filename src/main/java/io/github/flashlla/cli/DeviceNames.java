package io.github.flashlla.cli;

import io.github.flashlla.tornadovm.Backend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Device names that completion offers: those that are the same everywhere, since asking drivers takes seconds. */
final class DeviceNames extends ArrayList<String> {
    DeviceNames() {
        super(List.of("jvm", "reference", "all", "cpu", "gpu"));
        Arrays.stream(Backend.values()).map(Backend::id).forEach(id -> addAll(List.of(id, id + ":0")));
    }
}
