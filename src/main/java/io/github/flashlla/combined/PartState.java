package io.github.flashlla.combined;

import io.github.flashlla.Device;
import io.github.flashlla.KvCache;
import java.util.HashMap;
import java.util.Map;

/** What a part's process holds, under the numbers that the parent gave. */
final class PartState {
    private final Device device;
    private final Map<Integer, SharedMemory> memories = new HashMap<>();
    private final Map<Integer, PartPlan> plans = new HashMap<>();
    private final Map<Integer, KvCache> caches = new HashMap<>();
    private final Map<Integer, PartStep> steps = new HashMap<>();
    private final Map<Integer, PartSplitStep> splitSteps = new HashMap<>();

    PartState(Device device) {
        this.device = device;
    }

    Device device() {
        return device;
    }

    Map<Integer, SharedMemory> memories() {
        return memories;
    }

    Map<Integer, PartPlan> plans() {
        return plans;
    }

    Map<Integer, KvCache> caches() {
        return caches;
    }

    Map<Integer, PartStep> steps() {
        return steps;
    }

    Map<Integer, PartSplitStep> splitSteps() {
        return splitSteps;
    }
}
