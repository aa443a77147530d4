package io.github.flashlla.bench.host;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.process.NativeLibrary;
import io.github.flashlla.record.DeviceState;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** An NVIDIA GPU as its management library (NVML) sees it. */
public final class NvidiaGpu implements EnergyMeter {
    private static final List<String> LIBRARIES = List.of("libnvidia-ml.so.1", "nvml.dll");
    private static final int TEXT = 128;
    private static final int GRAPHICS_CLOCK = 1; // of the multiprocessors
    private static final int MEMORY_CLOCK = 2;

    private final NativeLibrary nvml;
    private final MemorySegment handle;

    private NvidiaGpu(NativeLibrary nvml, MemorySegment handle) {
        this.nvml = nvml;
        this.handle = handle;
    }

    /** The GPU that a device runs on: the one of that name, and of its number where there are several; empty where there is no NVML. */
    public static Optional<NvidiaGpu> of(DeviceInfo device) {
        NativeLibrary nvml = NativeLibrary.find(LIBRARIES).orElse(null);
        if (nvml == null || nvml.call("nvmlInit_v2") != 0) {
            return Optional.empty();
        }
        List<NvidiaGpu> named = IntStream.range(0, count(nvml)).mapToObj(index -> gpu(nvml, index)).flatMap(Optional::stream)
                .filter(gpu -> device.hardware().contains(gpu.name())).toList();
        String number = device.name().replaceFirst("^[a-z]+:(?=[0-9]+$)", "");
        int index = number.matches("[0-9]{1,3}") ? Integer.parseInt(number) : 0;
        return named.isEmpty() ? Optional.empty() : Optional.of(named.get(index < named.size() ? index : 0));
    }

    /** How the GPU is set now. */
    public DeviceState state() {
        String driver = text("nvmlSystemGetDriverVersion", null);
        Integer limit = number("nvmlDeviceGetEnforcedPowerLimit");
        return new DeviceState(driver, limit == null ? null : limit / 1e3, clock("nvmlDeviceGetClockInfo", GRAPHICS_CLOCK),
                clock("nvmlDeviceGetMaxClockInfo", GRAPHICS_CLOCK), clock("nvmlDeviceGetClockInfo", MEMORY_CLOCK), clock("nvmlDeviceGetTemperature", 0), ecc());
    }

    @Override
    public double joules() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment millijoules = arena.allocate(ValueLayout.JAVA_LONG);
            return nvml.call("nvmlDeviceGetTotalEnergyConsumption", handle, millijoules) == 0 ? millijoules.get(ValueLayout.JAVA_LONG, 0) / 1e3 : Double.NaN;
        }
    }

    @Override
    public String source() {
        return "nvml";
    }

    private String name() {
        String name = text("nvmlDeviceGetName", handle);
        return name == null ? "" : name;
    }

    private static int count(NativeLibrary nvml) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            return nvml.call("nvmlDeviceGetCount_v2", count) == 0 ? count.get(ValueLayout.JAVA_INT, 0) : 0;
        }
    }

    private static Optional<NvidiaGpu> gpu(NativeLibrary nvml, int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            return nvml.call("nvmlDeviceGetHandleByIndex_v2", index, handle) == 0 ? Optional.of(new NvidiaGpu(nvml, handle.get(ValueLayout.ADDRESS, 0)))
                    : Optional.empty();
        }
    }

    private String text(String function, MemorySegment of) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(TEXT);
            int status = of == null ? nvml.call(function, text, TEXT) : nvml.call(function, of, text, TEXT);
            return status == 0 ? text.getString(0) : null;
        }
    }

    private Integer number(String function) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            return nvml.call(function, handle, value) == 0 ? value.get(ValueLayout.JAVA_INT, 0) : null;
        }
    }

    private Integer clock(String function, int kind) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            return nvml.call(function, handle, kind, value) == 0 ? value.get(ValueLayout.JAVA_INT, 0) : null;
        }
    }

    private Boolean ecc() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment current = arena.allocate(ValueLayout.JAVA_INT);
            MemorySegment pending = arena.allocate(ValueLayout.JAVA_INT);
            return nvml.call("nvmlDeviceGetEccMode", handle, current, pending) == 0 ? current.get(ValueLayout.JAVA_INT, 0) == 1 : null;
        }
    }
}
