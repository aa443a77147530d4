package io.github.flashlla;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.spi.KernelGuide;
import java.util.ServiceLoader;

/** TornadoVM kernels, which are built where an SDK is. */
public final class BuiltKernels {
    private BuiltKernels() {}

    /** Whether this build has them. */
    public static boolean areHere() {
        return ServiceLoader.load(KernelGuide.class).findFirst().isPresent();
    }

    /** Skips a test where this build has none. */
    public static void assume() {
        assumeTrue(areHere(), "kernels of TornadoVM are not built");
    }
}
