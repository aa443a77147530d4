package io.github.flashlla.tornado.generated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.faults.FaultScenarios;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Every kernel compiles to the source of every backend that TornadoVM can compile for with no device. */
public class GeneratedSourceTest {
    private static final Pattern ENTRY = Pattern.compile("(?:__kernel|__global__) void (\\w+)\\(");

    private static final Pattern BOUND = Pattern.compile("(\\w+) += +_kernel_context\\[0\\];");

    /** No other number has these digits. */
    private static final String LENGTH = "10016";

    /** By backend and type of device: what one JVM compiles for all tests, since it spends seconds on TornadoVM's start. */
    private static final Map<String, List<String>> SAID = new HashMap<>();

    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({
        "OPENCL, GPU, poison centre mean solve output poison centre mean solve output",
        "OPENCL, CPU, poison centre forward",
        "CUDA,   GPU, poison centre mean solve output poison centre mean solve output"})
    void forward(Backend backend, String type, String entries) throws Exception {
        assertEntries(said(backend, type).get(0), entries.split(" "));
    }

    /** TornadoVM puts the launch size where a kernel uses the bound of its loop: nothing but the loop may. {@code LoopsOnDevice} runs this. */
    @Test
    void boundsOfPlainLoops() throws Exception {
        String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU")
                .profiles("[{memory_share: 0.9, profiled_runs: 9, backward: [gpu], decode: [cg], softmax: [gpu], forward: [parallel]}]")
                .flag("-Dtornado.printKernel=True")
                .run(FaultScenarios.class, "plan", "cuda:0", "100", "8");
        assertEntries(said, "poison", "centre", "softmax", "solve", "output");
        List<String> bounds = BOUND.matcher(said).results().map(match -> match.group(1)).toList();
        List<String> kernels = List.of(ENTRY.split(said)).subList(3, 6);
        for (int n = 0; n < 3; n++) {
            Pattern use = Pattern.compile("\\b" + bounds.get(n) + "\\b(?!,|;$)", Pattern.MULTILINE); // not its declaration
            List<String> uses = kernels.get(n).lines().filter(line -> use.matcher(line).find()).map(String::strip).toList();
            assertEquals(2, uses.size(), () -> "the size, and the loop's bound: " + uses);
            assertTrue(uses.get(1).startsWith("for(;"), uses.get(1));
            assertTrue(kernels.get(n).contains(" < 100;"), "the number of rows");
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"OPENCL", "CUDA"})
    void backward(Backend backend) throws Exception {
        String said = said(backend, "GPU").get(1);
        assertEntries(said, "poison", "poison", "poison", "solve", "queries", "keys", "poison", "poison", "poison", "solve", "queries", "keys");
        assertServesEveryLength(said);
    }

    /** The capacity is one that a cache's layout does not round up. A virtual device runs nothing, so that the step fails behind its kernels. */
    @Test
    void decode() throws Exception {
        String said = said(Backend.CUDA, "GPU").get(2);
        String sources = said.substring(0, said.lastIndexOf('\n'));
        List<String> step = List.of("gather", "begin", "multiply", "advance", "multiply", "advance", "output", "merge");
        // such a device compiles a step twice: before it runs, as others do side by side, and when it does
        assertEquals(Stream.of(List.of("append"), step, step).flatMap(List::stream).toList(), entries(sources));
        assertServesEveryLength(sources);
    }

    /** A length that is compiled in is there as a number. */
    private static void assertServesEveryLength(String said) {
        List<String> lines = said.lines().filter(line -> line.contains(LENGTH)).toList();
        assertEquals(List.of(), lines, "lines with the length");
    }

    @Test
    void backwardOnACpu() throws Exception {
        assertEntries(said(Backend.OPENCL, "CPU").get(1), "poison", "poison", "poison", "queries", "keys");
    }

    /** Forward, backward and, of CUDA, a step of decoding. */
    private List<String> said(Backend backend, String type) throws Exception {
        String key = backend + " " + type;
        if (!SAID.containsKey(key)) {
            String device = backend.id() + ":0";
            boolean gpu = type.equals("GPU");
            List<String> args = new ArrayList<>(List.of("plan", device, "100", gpu ? "64,128" : "128"));
            args.addAll(List.of("+", "backward", device, gpu ? LENGTH : "100", gpu ? "64,256" : "64"));
            if (backend == Backend.CUDA) {
                args.addAll(List.of("+", "decodeOneAfterTheOther", device, LENGTH, "64", "1"));
            }
            String kernels = gpu ? "gpu" : "cpu";
            String said = new TornadoChild(folder, backend).virtual(type)
                    .profiles("[{memory_share: 0.9, profiled_runs: 9, forward: [" + kernels + "], backward: [" + kernels + "], decode: [cg], softmax: [gpu]}]")
                    .flag("-Dtornado.printKernel=True").run(FaultScenarios.class, args.toArray(String[]::new));
            SAID.put(key, List.of(said.split("(?m)\n?^" + FaultScenarios.NEXT + "$\n?")));
        }
        return SAID.get(key);
    }

    private static void assertEntries(String said, String... expected) {
        assertEquals(List.of(expected), entries(said), () -> said.lines().reduce("", (a, b) -> b));
        assertTrue(said.endsWith("done"), () -> said.lines().reduce("", (a, b) -> b));
    }

    private static List<String> entries(String said) {
        return ENTRY.matcher(said).results().map((MatchResult match) -> match.group(1)).toList();
    }
}
