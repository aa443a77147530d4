package io.github.flashlla.bench.host;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.record.DeviceState;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** An NVIDIA GPU as its management library (NVML) sees it. */
public final class NvidiaGpu implements EnergyMeter {
    private static final List<String> LIBRARIES = List.of("libnvidia-ml.so.1", "nvml.dll");
    private static final int TEXT = 128;
    private static final int GRAPHICS_CLOCK = 1; // of the multiprocessors
    private static final int MEMORY_CLOCK = 2;

    private final SymbolLookup nvml;
    private final MemorySegment handle;

    private NvidiaGpu(SymbolLookup nvml, MemorySegment handle) {
        this.nvml = nvml;
        this.handle = handle;
    }

    /** The GPU that a device runs on: the one of that name, and of its number where there are several; empty where there is no NVML. */
    public static Optional<NvidiaGpu> of(DeviceInfo device) {
        SymbolLookup nvml = library();
        if (nvml == null || call(nvml, "nvmlInit_v2") != 0) {
            return Optional.empty();
        }
        List<NvidiaGpu> named = IntStream.range(0, count(nvml)).mapToObj(index -> gpu(nvml, index)).flatMap(Optional::stream)
                .filter(gpu -> device.hardware().contains(gpu.name())).toList();
        String number = device.name().replaceFirst("^[a-z]+:(?=[0-9]+$)", "");
        int index = number.matches("[0-9]{1,3}") ? Integer.parseInt(number) : 0;
        return named.isEmpty() ? Optional.empty() : Optional.of(named.get(index < named.size() ? index : 0));
    }

    private static SymbolLookup library() {
        for (String library : LIBRARIES) {
            try {
                return SymbolLookup.libraryLookup(library, Arena.global());
            } catch (IllegalArgumentException e) {
                // not here; the next one, or none
            }
        }
        return null;
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
            return call(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle, millijoules) == 0 ? millijoules.get(ValueLayout.JAVA_LONG, 0) / 1e3 : Double.NaN;
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

    private static int count(SymbolLookup nvml) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            return call(nvml, "nvmlDeviceGetCount_v2", count) == 0 ? count.get(ValueLayout.JAVA_INT, 0) : 0;
        }
    }

    private static Optional<NvidiaGpu> gpu(SymbolLookup nvml, int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            return call(nvml, "nvmlDeviceGetHandleByIndex_v2", index, handle) == 0 ? Optional.of(new NvidiaGpu(nvml, handle.get(ValueLayout.ADDRESS, 0)))
                    : Optional.empty();
        }
    }

    private String text(String function, MemorySegment of) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(TEXT);
            int status = of == null ? call(nvml, function, text, TEXT) : call(nvml, function, of, text, TEXT);
            return status == 0 ? text.getString(0) : null;
        }
    }

    private Integer number(String function) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            return call(nvml, function, handle, value) == 0 ? value.get(ValueLayout.JAVA_INT, 0) : null;
        }
    }

    private Integer clock(String function, int kind) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            return call(nvml, function, handle, kind, value) == 0 ? value.get(ValueLayout.JAVA_INT, 0) : null;
        }
    }

    private Boolean ecc() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment current = arena.allocate(ValueLayout.JAVA_INT);
            MemorySegment pending = arena.allocate(ValueLayout.JAVA_INT);
            return call(nvml, "nvmlDeviceGetEccMode", handle, current, pending) == 0 ? current.get(ValueLayout.JAVA_INT, 0) == 1 : null;
        }
    }

    /** Calls a function that returns 0 for success; -1 where the library does not have it. */
    private static int call(SymbolLookup nvml, String function, Object... arguments) {
        ValueLayout[] types = new ValueLayout[arguments.length];
        for (int n = 0; n < types.length; n++) {
            types[n] = arguments[n] instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS;
        }
        try {
            MemorySegment address = nvml.find(function).orElse(null);
            if (address == null) {
                return -1;
            }
            MethodHandle handle = Linker.nativeLinker().downcallHandle(address, FunctionDescriptor.of(ValueLayout.JAVA_INT, types));
            return (int) handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            if (e instanceof Error error) {
                throw error;
            }
            return -1;
        }
    }
}
