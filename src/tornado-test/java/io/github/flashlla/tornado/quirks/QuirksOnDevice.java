package io.github.flashlla.tornado.quirks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.quirks.Quirks.Quirk;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Limits of TornadoVM 5.2.0 that shape our kernels are still there, and what a minimal kernel does not show is still right. A test that
 * fails says that one is gone, or has come: then docs/tornadovm/README.md and the code behind its workaround can change. What a backend
 * does that nobody has recorded is skipped, with the outcome as the reason.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class QuirksOnDevice {
    /** Of a kernel that does not end, and so is not run. */
    private static final String HANGS = "HANGS";
    private static BackendDevice device;
    private static String backend;

    /** What became of a kernel that was run. */
    enum Outcome {
        RIGHT, WRONG, REFUSED
    }

    @BeforeAll
    static void open() {
        device = BackendDevices.open(TestDevice.NAME);
        DeviceInfo info = device.info();
        backend = info.backend().equals("opencl") && info.type() == DeviceInfo.Type.CPU ? "pocl" : info.backend();
    }

    static Stream<Quirk> quirks() {
        return Quirks.all();
    }

    @Order(Integer.MAX_VALUE)
    @ParameterizedTest(name = "{0}")
    @MethodSource("quirks")
    void isStillThere(Quirk quirk) {
        Optional<String> known = quirk.outcome(backend);
        assumeTrue(!known.equals(Optional.of(HANGS)) && (known.isPresent() || !quirk.ran().contains(HANGS)),
                "this kernel's loop does not end on " + backend + ", or nobody knows that it does");
        check(quirk.name(), known, outcome(quirk, UnaryOperator.identity()).name());
    }

    /** Flags of the driver's compiler that there are not. */
    @Test
    void compilerFlags() {
        Quirk plain = Quirks.all().findFirst().orElseThrow();
        check("compilerFlags", Quirk.outcome("all REFUSED, spirv RIGHT, cuda RIGHT", backend),
                outcome(plain, plan -> plan.withCompilerFlags(device.device().getTornadoVMBackend(), "--no-such-flag")).name());
    }

    /** On PoCL 3.1 by the pragma in its profile's flags; the CPU kernels take a quarter less time so. */
    @Test
    void productsAndSumsOfVectorsAreFused() throws Exception {
        assumeTrue(backend.equals("pocl") && device.info().hardware().startsWith("pthread-"), "other compilers are not told to");
        FloatArray in = new FloatArray(Quirks.SIZE);
        in.init(1 + 0x1p-12f); // its square is 1 + 2^-11 + 2^-24, of which a float keeps the first two
        for (int lane = 32; lane < 48; lane++) {
            in.set(lane, -1 - 0x1p-11f);
        }
        FloatArray out = new FloatArray(Quirks.SIZE);
        Quirk fused = new Quirks.Quirk("fused", (g, n, c, from, to) -> g.task(n, CompilerQuirkKernels::productAndSumOfVectors, c, from, to), i -> 0, "");
        TornadoExecutionPlan plan = Quirks.plan(device, fused, in, out);
        device.inTurn(() -> plan.withPreCompilation().execute());
        close(plan);
        for (int lane = 0; lane < 16; lane++) {
            assertEquals(0x1p-24f, out.get(lane));
        }
    }

    @Test
    void profilerTimesCopiesBack() throws Exception {
        FloatArray out = new FloatArray(Quirks.SIZE);
        TornadoExecutionPlan plan = Quirks.plan(device, Quirks.all().findFirst().orElseThrow(), in(), out);
        TornadoExecutionResult result = device.inTurn(() -> plan.withPreCompilation().withProfiler(ProfilerMode.SILENT).execute());
        long nanos = result.getProfilerResult().getDeviceReadTime();
        close(plan);
        check("profilerTimesCopiesBack", Quirk.outcome("all TIMED, cuda ZERO", backend), nanos > 0 ? "TIMED" : "ZERO");
    }

    private static void check(String name, Optional<String> known, String outcome) {
        assumeTrue(known.isPresent(), "on " + backend + " nobody has recorded " + name + "; it is " + outcome);
        assertEquals(known.get(), outcome, name + " on " + backend);
    }

    private static Outcome outcome(Quirk quirk, UnaryOperator<TornadoExecutionPlan> configured) {
        FloatArray out = new FloatArray(Quirks.SIZE);
        out.init(7f);
        try {
            TornadoExecutionPlan plan = configured.apply(Quirks.plan(device, quirk, in(), out));
            device.inTurn(() -> plan.withPreCompilation().execute());
            close(plan);
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            return Outcome.REFUSED;
        }
        for (int i = 0; i < Quirks.SIZE; i++) {
            if (!(Math.abs(out.get(i) - quirk.expected().applyAsDouble(i)) < 1e-3)) {
                return Outcome.WRONG;
            }
        }
        return Outcome.RIGHT;
    }

    private static FloatArray in() {
        FloatArray in = new FloatArray(Quirks.SIZE);
        for (int i = 0; i < Quirks.SIZE; i++) {
            in.set(i, i);
        }
        return in;
    }

    private static void close(TornadoExecutionPlan plan) throws Exception {
        device.inTurn(() -> {
            plan.close();
            return null;
        });
    }
}
