package io.github.flashlla.combined;

import com.google.auto.service.AutoService;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceCombiner;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceInfo.Trait;
import io.github.flashlla.DeviceInfo.Type;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;

/** Combines devices of this host. */
@AutoService(DeviceCombiner.class)
public final class CombinedDevices implements DeviceCombiner {
    static final String BACKEND = "combined";

    @Override
    public DeviceInfo combine(List<DeviceInfo> parts) {
        List<DataType> precisions = new ArrayList<>(parts.getFirst().precisions());
        parts.forEach(part -> precisions.retainAll(part.precisions()));
        List<Type> types = parts.stream().map(DeviceInfo::type).distinct().toList();
        List<DeviceInfo> different = parts.stream().distinct().toList();
        boolean exact = parts.stream().allMatch(part -> part.has(Trait.EXACT));
        return new DeviceInfo(parts.stream().map(DeviceInfo::name).collect(Collectors.joining(JOINER)), BACKEND,
                types.size() == 1 ? types.getFirst() : Type.ACCELERATOR, words(parts, DeviceInfo::hardware),
                words(different, DeviceInfo::vendor), words(different, DeviceInfo::driver), sum(different, DeviceInfo::memoryBytes), -1,
                (int) sum(different, DeviceInfo::computeUnits), List.copyOf(precisions), exact ? new Trait[] {Trait.EXACT} : new Trait[0]);
    }

    @Override
    public Device open(List<DeviceInfo> parts) {
        return new CombinedDevice(combine(parts), parts);
    }

    /** What each is, and how often. */
    private static String words(List<DeviceInfo> parts, Function<DeviceInfo, String> word) {
        Map<String, Long> counts = parts.stream().collect(Collectors.groupingBy(word, LinkedHashMap::new, Collectors.counting()));
        return counts.entrySet().stream().map(e -> e.getValue() == 1 ? e.getKey() : e.getValue() + " x " + e.getKey())
                .collect(Collectors.joining(" + "));
    }

    /** -1 where one of them is not known. */
    private static long sum(List<DeviceInfo> parts, ToLongFunction<DeviceInfo> number) {
        return parts.stream().mapToLong(number).anyMatch(n -> n < 0) ? -1 : parts.stream().mapToLong(number).sum();
    }
}
