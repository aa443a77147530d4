package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornadovm.OneGpu;
import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Registers {@link Tile}'s and {@link WarpGroup}'s operations with TornadoVM's CUDA compiler, if this is the TornadoVM that they were written for. Where that
 * fails, kernels without them run, and the reason is kept.
 */
public final class TileOperations {
    /** Knows the compiler's classes, and so is loaded by its name alone. */
    private static final String COMPILER = "io.github.flashlla.tornado.kernels.tile.TileCompiler";
    /** The version whose compiler that class knows. */
    private static final String VERSION = "5.2.0-jdk25";
    private static final String CUDA = "tornado.drivers.cuda";
    /** The first version that knows {@link WarpGroup#ARCHITECTURE}. */
    private static final int NVRTC = 12;

    private static final Map<String, Optional<String>> REASONS = new HashMap<>();

    private TileOperations() {}

    /**
     * Makes sure that kernels for a device can use the operations, before the first task with one is added to a task graph. In a JVM
     * without TornadoVM nothing is known to be in the way.
     *
     * @param device as {@code flashlla devices} lists it, such as {@code cuda:0}
     * @return why they cannot, in one sentence without a full stop; empty if they can
     */
    public static synchronized Optional<String> unavailable(String device) {
        return REASONS.computeIfAbsent(device, TileOperations::register);
    }

    /**
     * The same of {@link WarpGroup}'s operations, whose kernels NVRTC compiles without TornadoVM.
     *
     * @param device which may not be here
     */
    public static Optional<String> warpGroupsUnavailable(DeviceInfo device) {
        if (!device.has(DeviceInfo.Trait.WARP_GROUPS)) {
            return Optional.of("the device has no matrix units for four warps together, as those of compute capability 9.0 have");
        }
        return unavailable(device.name()).or(() -> isToRun() ? nvrtcRefuses() : Optional.empty());
    }

    private static Optional<String> nvrtcRefuses() {
        Optional<Nvrtc> compiler = Nvrtc.find();
        if (compiler.isEmpty()) {
            return Optional.of("NVRTC, which compiles its kernels, is not here");
        }
        int major = compiler.get().major();
        return major < NVRTC ? Optional.of("NVRTC " + major + " is here, and its kernels need " + NVRTC + " or later") : Optional.empty();
    }

    /** Whether this JVM can run what it compiles: TornadoVM's driver is here, and not as one of a virtual device. */
    private static boolean isToRun() {
        return ModuleLayer.boot().findModule(CUDA).isPresent() && !Boolean.getBoolean("tornado.virtual.device");
    }

    private static Optional<String> register(String device) {
        if (!device.startsWith("cuda:")) {
            return Optional.of("it is written for the CUDA backend");
        }
        Optional<Module> driver = ModuleLayer.boot().findModule(CUDA);
        if (driver.isEmpty()) {
            return Optional.empty();
        }
        String version = driver.get().getDescriptor().rawVersion().orElse("unknown");
        if (!version.equals(VERSION)) {
            return Optional.of("TornadoVM " + version + " is here, and the operations of matrix units are written for " + VERSION);
        }
        if (TornadoNativeArray.ARRAY_HEADER != Tile.HEADER) {
            return Optional.of("this JVM's flags give arrays a header of " + TornadoNativeArray.ARRAY_HEADER + " bytes, not "
                    + Tile.HEADER);
        }
        try {
            for (Class<?> operations : List.of(Tile.class, WarpGroup.class)) {
                Class.forName(COMPILER).getMethod("register", Class.class, int.class).invoke(null, operations, OneGpu.index(device));
            }
            return Optional.empty();
        } catch (InvocationTargetException e) {
            return Optional.of(reason(e.getCause()));
        } catch (ReflectiveOperationException | LinkageError e) {
            return Optional.of(reason(e));
        }
    }

    private static String reason(Throwable e) {
        return "TornadoVM's CUDA compiler did not take the operations of matrix units (" + e.getClass().getSimpleName() + ": "
                + e.getMessage() + "); start the JVM with the flags that 'flashlla flags cuda:0' writes";
    }
}
