package io.github.flashlla.combined;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceInfo.Trait;
import java.util.List;

/** How parts that compute on this machine's processors share them: each process gets as many as the next. */
final class Processors {
    private Processors() {}

    /** Flags for the process of a part. */
    static List<String> flags(int part, List<DeviceInfo> parts) {
        long sharing = parts.stream().filter(info -> info.has(Trait.ON_HEAP)).count();
        if (!parts.get(part).has(Trait.ON_HEAP) || sharing == 1) {
            return List.of();
        }
        int processors = Runtime.getRuntime().availableProcessors();
        return List.of("-XX:ActiveProcessorCount=" + Math.max(1, processors / sharing));
    }
}
