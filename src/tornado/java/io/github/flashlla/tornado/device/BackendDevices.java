package io.github.flashlla.tornado.device;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.tornadovm.OneGpu;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import uk.ac.manchester.tornado.api.TornadoBackend;
import uk.ac.manchester.tornado.api.TornadoRuntime;
import uk.ac.manchester.tornado.api.TornadoTargetDevice;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/** TornadoVM's devices under their names here: the backend and the index within it, such as {@code opencl:0}. */
public final class BackendDevices {
    private BackendDevices() {}

    private static Map<String, BackendDevice> known;
    private static LinkageError failure;

    /**
     * A device by its name.
     *
     * @throws DeviceException if this JVM has no TornadoVM, or one that would hide failures
     * @throws InvalidInputException if there is no such device, naming those that there are
     */
    public static BackendDevice open(String name) {
        if (ModuleLayer.boot().findModule("tornado.runtime").isEmpty()) {
            throw new DeviceException(name + " opens only in a JVM started with TornadoVM's flags; 'flashlla flags " + name
                    + "' writes them.");
        }
        // read once at class load by TornadoVM; with recovery on, a failed kernel would run as sequential Java instead
        if (!"false".equalsIgnoreCase(System.getProperty("tornado.recover.bailout"))) {
            throw new DeviceException(name + " cannot be opened: TornadoVM would hide failures by running kernels as plain Java; "
                    + "start java with -Dtornado.recover.bailout=False.");
        }
        BackendDevice entry = all().get(name);
        if (entry == null) {
            throw new InvalidInputException("TornadoVM has no device " + name + " in this JVM; it has "
                    + String.join(", ", all().keySet()) + ".");
        }
        return entry;
    }

    /**
     * Every device of every backend that this JVM was started with; they stay the same. Starts TornadoVM's runtime. A start that fails does
     * so once, and is told in the same words afterwards: Java tells of a failed initialiser's cause the first time only.
     */
    public static synchronized Map<String, BackendDevice> all() {
        if (failure != null) {
            throw failure;
        }
        if (known == null) {
            try {
                known = Collections.unmodifiableMap(find());
            } catch (LinkageError e) {
                failure = e;
                throw e;
            }
        }
        return known;
    }

    private static Map<String, BackendDevice> find() {
        TornadoRuntime runtime = TornadoRuntimeProvider.getTornadoRuntime();
        Map<String, BackendDevice> entries = new LinkedHashMap<>();
        for (int b = 0; b < runtime.getNumBackends(); b++) {
            TornadoBackend backend = runtime.getBackend(b);
            String backendName = runtime.getBackendType(b).name().toLowerCase(Locale.ROOT);
            for (int d = 0; d < backend.getNumDevices(); d++) {
                TornadoDevice device = backend.getDevice(d);
                DeviceInfo info = info(backendName + ":" + (OneGpu.first(backendName) + d), backendName, device);
                entries.put(info.name(), new BackendDevice(info, device, b, d,
                        info.localMemoryBytes() < 0 ? -1 : device.getPhysicalDevice().getMaxThreadsPerBlock(),
                        new DeviceMemory(info.name(), info.memoryBytes())));
            }
        }
        return entries;
    }

    private static DeviceInfo info(String name, String backend, TornadoDevice device) {
        TornadoTargetDevice physical = device.getPhysicalDevice();
        return new DeviceInfo(name, backend, type(device), physical.getDeviceName().strip(), device.getPlatformName().strip(),
                driver(device), device.getMaxGlobalMemory(), device.getDeviceLocalMemorySize(),
                physical.getDeviceMaxComputeUnits(), precisions(backend, physical), traits(backend, physical));
    }

    /** TornadoVM reaches matrix units through CUDA alone; compute capability 8.0 is its own bar for them. */
    private static List<DataType> precisions(String backend, TornadoTargetDevice physical) {
        return backend.equals("cuda") && told(physical, "getComputeCapabilityMajor") instanceof Integer capability && capability >= 8
                ? List.of(DataType.FLOAT32, DataType.FLOAT16) : List.of(DataType.FLOAT32);
    }

    private static DeviceInfo.Trait[] traits(String backend, TornadoTargetDevice physical) {
        return backend.equals("cuda") && Integer.valueOf(9).equals(told(physical, "getComputeCapabilityMajor"))
                && Integer.valueOf(0).equals(told(physical, "getComputeCapabilityMinor"))
                ? new DeviceInfo.Trait[] {DeviceInfo.Trait.WARP_GROUPS} : new DeviceInfo.Trait[0];
    }

    /** The driver's version where the backend tells it, and the language it compiles. */
    private static String driver(TornadoDevice device) {
        String language = device.getDeviceOpenCLCVersion().strip();
        return told(device.getPhysicalDevice(), "getDriverVersion") instanceof String version && !version.isBlank()
                ? version.strip() + ", " + language : language;
    }

    /** What a backend's own class tells beyond the common API; null where this one does not. */
    private static Object told(TornadoTargetDevice physical, String method) {
        try {
            return physical.getClass().getMethod(method).invoke(physical);
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null; // another backend, a virtual device, or a TornadoVM that tells it in another way
        }
    }

    private static DeviceInfo.Type type(TornadoDevice device) {
        return switch (device.getDeviceType()) {
            case CPU -> DeviceInfo.Type.CPU;
            case GPU -> DeviceInfo.Type.GPU;
            default -> DeviceInfo.Type.ACCELERATOR;
        };
    }
}
