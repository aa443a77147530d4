package io.github.flashlla.tornado.faults;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.BackendSurvey;
import io.github.flashlla.tornadovm.DeviceJvm;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.api.io.TempDir;

/** What must never pass for a result, provoked in JVMs that are set up for it. */
public class ProvokedFailuresTest {
    private static final String GPU_KERNELS = "forward: [gpu], backward: [cpu, gpu], decode: [covariance], softmax: [gpu]";

    @TempDir
    private Path folder;

    /** TornadoVM's default: a kernel that fails runs as sequential Java instead. */
    @Test
    void recoveryAsSequentialJavaIsRefused() throws Exception {
        String said = openCl().flag("-Dtornado.recover.bailout=True").run(FaultScenarios.class, "plan", "opencl:0", "16", "16");
        assertSays(said, "DeviceException: opencl:0 cannot be opened", "-Dtornado.recover.bailout=False");
    }

    /** TornadoVM checks no work-group's local memory: PoCL ends its JVM, CUDA returns zeros. */
    @Test
    void localMemoryBeyondTheLimit() throws Exception {
        String said = openCl().profiles("[{memory_share: 0.9, profiled_runs: 9, " + GPU_KERNELS + ", local_memory_kib: 8}]")
                .run(FaultScenarios.class, "plan", "opencl:0", "64", "64");
        assertSays(said, "InvalidInputException: opencl:0", "cannot take", "bytes of local memory, but has 8192");
    }

    /** The kernel of plain loops takes no local memory; that it was taken is said. */
    @Test
    void tooLittleLocalMemoryForTunedKernels() throws Exception {
        String said = openCl().profiles("[{memory_share: 0.9, profiled_runs: 9, forward: [gpu, parallel], backward: [gpu], "
                + "decode: [cg], softmax: [gpu], local_memory_kib: 8}]").run(FaultScenarios.class, "run", "opencl:0", "64", "64");
        String note = said.lines().filter(line -> line.startsWith("note: opencl:0 computes")).findFirst().orElse(said);
        assertTrue(note.contains("slow kernel 'parallel'") && note.contains("bytes of local memory, but has 8192"), said);
        assertSays(said, "done");
    }

    @Test
    void memoryAndCachesBeyondTheBudget() throws Exception {
        String[] said = openCl().flag("-Dtornado.device.memory=1MB")
                .run(FaultScenarios.class, "plan", "opencl:0", "2048", "64", "+", "decode", "opencl:0", "16384", "64").split(FaultScenarios.NEXT);
        assertSays(said[0], "DeviceException: opencl:0 is short of memory", "Sq=2048", "of the 1 MiB");
        assertSays(said[1], "DeviceException: opencl:0 is short of memory", "capacity=16384", "of the 1 MiB");
    }

    /** Memory that open plans hold counts, and that of closed ones is free again. */
    @Test
    void plansShareTheBudget() throws Exception {
        String[] said = openCl().flag("-Dtornado.device.memory=8MB").run(FaultScenarios.class, "oneAfterTheOther", "opencl:0", "2048", "32", "6", "+",
                "manyAtOnce", "opencl:0", "2048", "32", "6").split(FaultScenarios.NEXT);
        assertSays(said[0], "done");
        assertSays(said[1], "DeviceException: opencl:0 is short of memory", "held by other plans");
    }

    /** TornadoVM frees those graphs of a plan that it is told to, and reports what is left over in the midst of a run. */
    @Test
    void decodePlansGiveTheirMemoryBack() throws Exception {
        String said = openCl().flag("-Dtornado.device.memory=8MB")
                .run(FaultScenarios.class, "decodeOneAfterTheOther", "opencl:0", "4096", "64", "6");
        assertSays(said, "done");
    }

    /** Memory that others hold is seen by TornadoVM alone, in the midst of a run. */
    @Test
    void deviceOutOfMemory() throws Exception {
        String said = openCl().flag("-Dtornado.device.memory=16MB")
                .run(FaultScenarios.class, "besideAnother", "opencl:0", "4096", "64", "3500000");
        assertSays(said, "DeviceException: opencl:0 is short of memory", "of the 16 MiB", "Unable to allocate");
    }

    /** A device that compiles and runs nothing, and returns as if it had. */
    @Test
    void kernelThatTakesNoTime() throws Exception {
        String said = new TornadoChild(folder, Backend.OPENCL).virtual("GPU").run(FaultScenarios.class, "run", "opencl:0", "64", "64");
        assertSays(said, "DeviceException: opencl:0 returned without running its kernel");
    }

    /** A driver that takes its JVM down: the JVM ends with status 1, as if the command had failed, and says nothing. */
    @Test
    void driverThatCrashes() {
        DeviceInfo device = BackendSurvey.all().devices().stream().findFirst()
                .orElseGet(() -> Assumptions.abort("there is no TornadoVM device here"));
        String message = assertThrows(DeviceException.class, () -> CommandRelay.run(DeviceJvm.of(device), device.name(),
                Crash.class, List.of())).getMessage();
        assertTrue(message.contains(device.name() + " crashed in native code (SIGSEGV)"), message);
        assertTrue(message.contains("last words: about to crash"), message);
    }

    /** Reads where nothing is. */
    static final class Crash {
        public static void main(String[] args) {
            System.out.println("about to crash");
            System.out.flush();
            MemorySegment.ofAddress(8).reinterpret(Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** The driver's compiler gets the profile's flags, and what it says of them is told. */
    @Test
    void compilerFlagsThatTheDriverRejects() throws Exception {
        String said = openCl().profiles("[{memory_share: 0.9, profiled_runs: 9, forward: [gpu], backward: [cpu, gpu], decode: [covariance], softmax: "
                + "[gpu], compiler_flags: -no-such-flag}]")
                .run(FaultScenarios.class, "plan", "opencl:0", "16", "16");
        assertSays(said, "DeviceException: opencl:0");
    }

    /** Not a failure: where TornadoVM's profiler has to tell times, runs beyond those that it keeps a log of have none, and the same answer. */
    @ParameterizedTest
    @CsvSource({"SPIRV, spirv:0, timed timed untimed untimed", "OPENCL, opencl:0, timed timed timed timed"})
    void runsThatAreNotProfiled(Backend backend, String device, String times) throws Exception {
        String said = new TornadoChild(folder, backend).needsDevice()
                .profiles("[{memory_share: 0.9, profiled_runs: 2, forward: [cpu, gpu], backward: [cpu, gpu], decode: [covariance], softmax: [gpu]}]")
                .run(FaultScenarios.class, "kernelTimes", device, "16", "16", "4");
        assertSays(said, times);
    }

    @Test
    void kernelsThatThereAreNot() throws Exception {
        String said = openCl().profiles("[{memory_share: 0.9, profiled_runs: 9, forward: [fast], backward: [cpu, gpu], decode: [covariance], softmax: [gpu]}]")
                .run(FaultScenarios.class, "plan", "opencl:0", "16", "16");
        assertSays(said, "InvalidInputException: devices.yaml", "'fast'", "matrix");
    }

    private TornadoChild openCl() {
        return new TornadoChild(folder, Backend.OPENCL).needsDevice();
    }

    private static void assertSays(String said, String... parts) {
        String last = said.lines().reduce("", (a, b) -> b);
        for (String part : List.of(parts)) {
            assertTrue(last.contains(part), "not '" + part + "' in the last line of:\n" + said);
        }
    }
}
