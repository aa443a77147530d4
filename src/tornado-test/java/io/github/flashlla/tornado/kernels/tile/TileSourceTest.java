package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.kernels.forward.TileSource;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What TornadoVM's CUDA compiler makes of the operations, and NVIDIA's of that where nvcc is. */
class TileSourceTest {
    private static final Pattern KERNEL = Pattern.compile("extern \"C\" __global__ void (?:__launch_bounds__\\((\\d+), (\\d+)\\) )?(\\w+)\\(.*?\\}  //  kernel",
            Pattern.DOTALL);

    @TempDir
    private Path folder;

    /** Each operation's text is in the source, with names and numbers in place of arguments. */
    @Test
    void operations() throws Exception {
        String source = source("operations");
        List<String> texts = source.lines().filter(line -> line.startsWith(TileSource.TEXT)).map(line -> line.substring(TileSource.TEXT.length()))
                .toList();
        String kernels = source.lines().filter(line -> !line.startsWith(TileSource.TEXT)).collect(Collectors.joining("\n"));
        assertTrue(texts.size() >= 25, () -> texts.toString());
        for (String text : texts) {
            String pattern = Arrays.stream(text.split("\\$(r|\\d+)", -1)).map(Pattern::quote).collect(Collectors.joining("[\\w.]+"));
            assertTrue(Pattern.compile(pattern).matcher(kernels).find(), () -> "no kernel has " + text);
        }
        assertFalse(kernels.contains("$"), "an argument is left");
    }

    /** Six kernels, within the registers that their launch bounds leave; only the solve keeps more than a few numbers in memory, between sweeps. */
    @ParameterizedTest
    @CsvSource({"64, 64, 3", "96, 96, 2", "128, 128, 2", "33, 120, 3"})
    void forward(String headDim, String valueDim, int groups) throws Exception {
        String source = source(headDim, valueDim);
        Map<String, String> kernels = new HashMap<>();
        for (MatchResult kernel : KERNEL.matcher(source).results().toList()) {
            kernels.putIfAbsent(kernel.group(3), kernel.group());
            if (List.of("mean", "solve").contains(kernel.group(3))) {
                assertEquals("128", kernel.group(1));
                assertEquals(Integer.toString(groups), kernel.group(2));
            }
        }
        assertEquals(List.of("list", "mean", "output", "pack", "solve"), kernels.keySet().stream().sorted().toList());
        assertTrue(kernels.get("mean").contains("__shared__ __align__(1024) int"));
        Map<String, Integer> frames = frames(String.join("\n", kernels.values()));
        for (String kernel : List.of("list", "pack")) {
            assertEquals(0, frames.get(kernel), "stack frame of " + kernel);
        }
        for (String kernel : List.of("mean", "output")) {
            assertTrue(frames.get(kernel) <= 64, "stack frame of " + kernel + ": " + frames.get(kernel));
        }
        assertTrue(frames.get("solve") <= 800, "stack frame of solve: " + frames.get("solve"));
    }

    /** Eight kernels; what they keep in memory is kept outside of the loops over tiles. */
    @ParameterizedTest
    @CsvSource({"64, 33, 400", "128, 128, 800"})
    void backward(String headDim, String valueDim, int bytes) throws Exception {
        String source = source("backward", headDim, valueDim);
        Map<String, String> kernels = new HashMap<>();
        KERNEL.matcher(source).results().forEach(kernel -> kernels.putIfAbsent(kernel.group(3), kernel.group()));
        assertEquals(List.of("gather", "keys", "largest", "list", "pack", "queries", "solve"), kernels.keySet().stream().sorted().toList());
        Map<String, Integer> frames = frames(String.join("\n", kernels.values()));
        for (String kernel : List.of("largest", "list", "pack")) {
            assertEquals(0, frames.get(kernel), "stack frame of " + kernel);
        }
        for (String kernel : List.of("gather", "keys", "queries")) {
            assertTrue(frames.get(kernel) <= bytes, "stack frame of " + kernel + ": " + frames.get(kernel));
        }
    }

    /** Where arrays have another header, plain kernels must run: the operations add 16 bytes to an array's address. */
    @Test
    void refusesAnotherHeader() throws Exception {
        String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-XX:-UseCompressedOops").run(TileSource.class, "operations");
        assertTrue(said.contains("this JVM's flags give arrays a header of 24 bytes, not 16"), said);
    }

    private String source(String... args) throws Exception {
        String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-Dtornado.printKernel=True").run(TileSource.class, args);
        assertTrue(said.endsWith("done"), () -> said.lines().reduce("", (a, b) -> b));
        return said;
    }

    /** Bytes of local memory of each kernel, by ptxas; skips the rest of the test without nvcc. */
    private Map<String, Integer> frames(String source) throws IOException, InterruptedException {
        Path file = Files.writeString(folder.resolve("kernels.cu"), "#include <cuda_fp16.h>\n" + source);
        Path log = folder.resolve("nvcc.log");
        int status;
        try {
            status = new ProcessBuilder("nvcc", "-w", "-arch=sm_90", "-Xptxas", "-v", "-cubin", "-o", folder.resolve("kernels.cubin").toString(),
                    file.toString()).redirectErrorStream(true).redirectOutput(log.toFile()).start().waitFor();
        } catch (IOException e) {
            Assumptions.abort("there is no nvcc: " + e.getMessage());
            return Map.of();
        }
        String said = Files.readString(log);
        assertEquals(0, status, said);
        Map<String, Integer> frames = new HashMap<>();
        Matcher matcher = Pattern.compile("properties for (\\w+)\\s+(\\d+) bytes stack frame").matcher(said);
        while (matcher.find()) {
            frames.put(matcher.group(1), Integer.parseInt(matcher.group(2)));
        }
        return frames;
    }
}
