package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.github.flashlla.tornado.kernels.forward.TileSource;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What TornadoVM's CUDA compiler makes of the operations, and NVIDIA's of that where nvcc is. */
class TileSourceTest {
    private static final Pattern KERNEL = Pattern.compile("extern \"C\" __global__ void (?:__launch_bounds__\\((\\d+), (\\d+)\\) )?(\\w+)\\(.*?\\}  //  kernel",
            Pattern.DOTALL);

    /** What one JVM compiles for all tests: each would spend seconds on TornadoVM's start and on its compiler's first kernels. */
    private static final List<String> COMPILED = List.of(TileSource.OPERATIONS, TileSource.WARP_GROUP, "forward:64:64", "forward:96:96",
            "forward:128:128", "forward:33:120", "warp_group:64:64", "warp_group:96:33", "warp_group:128:128", "split:64:64", "split:128:128", "splitbackward:64:64", "splitbackward:128:128", "backward:64:33", "backward:128:128",
            "decode:1:64", "decode:3:64", "decode:8:64", "decode:1:128", "decode:4:128", "decode:8:128", "covariance:4:64", "covariance:4:128",
            "preconditioned:3:64", "preconditioned:4:64");
    /** What nvcc compiles in files of their own, since their machine code is listed; the others are one file, for nvcc reads its headers for seconds. */
    private static final Set<String> LISTED = Set.of("forward:64:64", "forward:128:128");
    private static final List<String> OF_WARP_GROUPS = COMPILED.stream().filter(source -> source.startsWith("warp_group:")).toList();
    private static final List<String> OTHERS = COMPILED.stream().filter(source -> source.contains(":") && !LISTED.contains(source)
            && !OF_WARP_GROUPS.contains(source)).toList();
    /** A product of a warp group whose first factor is in registers: these, and whether the other one's rows are the sums' columns. */
    private static final Pattern FROM_REGISTERS = Pattern.compile("HGMMA\\.\\S+ R\\d+, (R\\d+), gdesc\\[UR\\d+\\](\\.tnspB)?");
    private static final String NO_NVCC = "there is no nvcc";
    private static final Map<String, String> SOURCES = new HashMap<>();
    private static final Map<String, Built> BUILT = new HashMap<>();

    @TempDir
    private static Path folder;

    /**
     * What nvcc makes of kernels.
     *
     * @param loops of each kernel's PTX
     * @param frames bytes of local memory of each kernel, by ptxas
     * @param said by ptxas
     */
    private record Built(Map<String, InnerLoop> loops, Path cubin, Map<String, Integer> frames, String said) {

        /** Of those whose names begin so, by the rest of their names. */
        Built of(String prefix) {
            return new Built(rest(loops, prefix), cubin, rest(frames, prefix), said);
        }

        private static <V> Map<String, V> rest(Map<String, V> all, String prefix) {
            return all.entrySet().stream().filter(entry -> entry.getKey().startsWith(prefix))
                    .collect(Collectors.toMap(entry -> entry.getKey().substring(prefix.length()), Map.Entry::getValue));
        }
    }

    /** Each operation's text is in the source, with names and numbers in place of arguments. */
    @ParameterizedTest
    @CsvSource({TileSource.OPERATIONS + ", 25", TileSource.WARP_GROUP + ", 8"})
    void operations(String compiled, int most) throws Exception {
        String source = source(compiled);
        List<String> texts = source.lines().filter(line -> line.startsWith(TileSource.TEXT)).map(line -> line.substring(TileSource.TEXT.length()))
                .toList();
        String kernels = source.lines().filter(line -> !line.startsWith(TileSource.TEXT)).collect(Collectors.joining("\n"));
        assertTrue(texts.size() >= most, () -> texts.toString());
        for (String text : texts) {
            String pattern = Arrays.stream(text.split("\\[\\[.*?\\]\\]", -1)).map(part -> Arrays.stream(part.split("\\$(r|\\d+)", -1)).map(Pattern::quote)
                    .collect(Collectors.joining("[\\w.]+"))).collect(Collectors.joining(".*"));
            assertTrue(Pattern.compile(pattern).matcher(kernels).find(), () -> "no kernel has " + text);
        }
        assertFalse(kernels.contains("$"), "an argument is left");
        assertFalse(kernels.contains("[["), "a list is left");
    }

    /** Of one warp group's products nothing goes through memory, and none waits for the one before it. */
    @Test
    void warpGroup() throws Exception {
        Map<String, String> kernels = new TreeMap<>();
        for (MatchResult kernel : KERNEL.matcher(source(TileSource.WARP_GROUP)).results().toList()) {
            String name = kernel.group(3) + kernels.size();
            kernels.put(name, kernel.group().replace(kernel.group(3) + "(", name + "("));
        }
        assertEquals(8, kernels.size());
        Built built = built(WarpGroup.ARCHITECTURE, TileSource.WARP_GROUP, String.join("\n", kernels.values()));
        assertEquals(kernels.keySet(), built.frames().keySet());
        built.frames().forEach((String kernel, Integer bytes) -> assertEquals(0, bytes, "stack frame of " + kernel));
        assertFalse(built.said().contains("serialized"), built.said());
    }

    /** Six kernels, within the registers that their launch bounds leave; only the solve keeps more than a few numbers in memory, between sweeps. */
    @ParameterizedTest
    @CsvSource({"64, 64, 3", "96, 96, 2", "128, 128, 2", "33, 120, 3"})
    void forward(String headDim, String valueDim, int groups) throws Exception {
        String compiled = "forward:" + headDim + ":" + valueDim;
        String source = source(compiled);
        assertPlainConditions(source);
        Map<String, String> kernels = kernels(source);
        for (MatchResult kernel : KERNEL.matcher(source).results().toList()) {
            if (List.of("mean", "solve").contains(kernel.group(3))) {
                assertEquals("128", kernel.group(1));
                assertEquals(Integer.toString(groups), kernel.group(2));
            }
        }
        assertEquals(List.of("list", "mean", "output", "pack", "solve"), List.copyOf(kernels.keySet()));
        assertTrue(kernels.get("mean").contains("__shared__ __align__(1024) int"));
        Map<String, Integer> frames = built(compiled).frames();
        for (String kernel : List.of("list", "pack")) {
            assertEquals(0, frames.get(kernel), "stack frame of " + kernel);
        }
        for (String kernel : List.of("mean", "output")) {
            assertTrue(frames.get(kernel) <= 64, "stack frame of " + kernel + ": " + frames.get(kernel));
        }
        assertTrue(frames.get("solve") <= 800, "stack frame of solve: " + frames.get("solve"));
    }

    /**
     * Products of four warps, of which none waits for the one before it. Factors that a loop leaves as they are must not share registers with its weights,
     * as ptxas 13.0 had it before there was {@link WarpGroup#renew}: o was wrong on an H200. In SASS, where cuobjdump or nvdisasm is.
     */
    @ParameterizedTest
    @CsvSource({"64, 64, 3, 48", "96, 33, 2, 24", "128, 128, 2, 128"})
    void forwardByWarpGroups(String headDim, String valueDim, String groups, int bytes) throws Exception {
        String compiled = "warp_group:" + headDim + ":" + valueDim;
        String source = source(compiled);
        assertPlainConditions(source);
        Map<String, String> kernels = kernels(source);
        assertEquals(List.of("list", "mean", "output", "pack", "solve"), List.copyOf(kernels.keySet()));
        Built built = built(compiled);
        for (String kernel : List.of("mean", "solve", "output")) {
            assertTrue(kernels.get(kernel).contains("__launch_bounds__(128, " + groups + ")"), kernel);
            assertTrue(kernels.get(kernel).contains("wgmma.mma_async"), kernel);
            int most = kernel.equals("solve") ? bytes : 24;
            assertTrue(built.frames().get(kernel) <= most, () -> "stack frame of " + kernel + ": " + built.frames().get(kernel));
        }
        assertFalse(built.said().contains("serialized"), built.said());

        Map<String, String> machineCode = InnerLoop.machineCode(sass(built.cubin()));
        for (String kernel : List.of("solve", "output")) {
            Set<String> weights = new TreeSet<>();
            Set<String> others = new TreeSet<>();
            FROM_REGISTERS.matcher(machineCode.get(prefix(compiled) + kernel)).results()
                    .forEach(product -> (product.group(2) != null ? weights : others).add(product.group(1)));
            assertTrue(weights.size() >= 2 && others.size() >= 4, () -> kernel + " has " + weights + " and " + others);
            assertTrue(Collections.disjoint(weights, others), () -> "weights of " + kernel + " are in " + weights + ", other factors in " + others);
        }
    }

    /**
     * The loop over keys that all rows see: 25 products (49 at head dim 128), 8 exponentials and 8 or 16 loads of fragments for 16 keys, and little else;
     * nothing of it in memory. In SASS, too, where cuobjdump or nvdisasm is.
     */
    @ParameterizedTest
    @CsvSource({"64, 25, 45", "128, 49, 65"})
    void innerLoop(String headDim, int products, int mostFor8Keys) throws Exception {
        String compiled = "forward:" + headDim + ":" + headDim;
        Built built = built(compiled);
        InnerLoop loop = built.loops().get("solve");
        int sixteens = (int) loop.count("ex2.approx") / 8;
        assertTrue(sixteens >= 2, "the loop is not unrolled");
        assertEquals(products * sixteens, loop.count("mma.sync"));
        assertEquals(0, loop.count(".local"));
        assertTrue(loop.instructions().size() <= 2 * mostFor8Keys * sixteens, () -> loop.instructions().size() + " instructions");

        InnerLoop machine = InnerLoop.ofSass(sass(built.cubin())).get(prefix(compiled) + "solve");
        assertEquals(products * sixteens, machine.count("HMMA"));
        assertEquals(0, machine.count("LDL") + machine.count("STL"), () -> "spills in " + machine);
        assertTrue(machine.instructions().size() <= 2 * mostFor8Keys * sixteens, () -> machine.instructions().size() + " instructions");
    }

    /**
     * Float32 by three products: three times the products of the solve in float16, less those that sum weights; sums stay in registers, whose
     * few spills are outside of the loop.
     */
    @ParameterizedTest
    @CsvSource({"64, 72, 160", "128, 144, 400"})
    void split(String headDim, int products, int bytes) throws Exception {
        assertThreeProducts("split:" + headDim + ":" + headDim, bytes, Map.of("mean", products, "solve", products, "output", products),
                List.of("factors", "list", "pack"));
    }

    /**
     * The same of the backward pass. Weights of dk and dv take sixteen loads each. Above head dim 64 two warps share rows or keys: what is straight on
     * is the products of one of them, and behind a barrier the sums.
     */
    @ParameterizedTest
    @CsvSource({"64, 72, 80, 192, 120", "128, 144, 400, 96, 96"})
    void splitBackward(String headDim, int products, int bytes, int ofKeys, int ofQueries) throws Exception {
        Map<String, Integer> loops = Map.of("gather", products, "solve", products, "keys", ofKeys, "queries", ofQueries);
        String name = "splitbackward:" + headDim + ":" + headDim;
        assertThreeProducts(name, bytes, loops, List.of("factors", "finish", "largest", "list", "pack", "packRows"));
        KERNEL.matcher(source(name)).results().filter(kernel -> kernel.group(3).equals("largest"))
                .forEach(kernel -> assertTrue(kernel.group().contains("__syncthreads()"), "what is behind a loop is left out"));
    }

    /**
     * Kernels whose loops have so many products for 16 keys and nothing in memory, with stack frames of few bytes outside of them, and others without.
     */
    private void assertThreeProducts(String compiled, int bytes, Map<String, Integer> products, List<String> others) throws Exception {
        String source = source(compiled);
        assertPlainConditions(source);
        Map<String, String> kernels = kernels(source);
        kernels.keySet().removeIf(kernel -> !products.containsKey(kernel) && !others.contains(kernel));
        assertFalse(Pattern.compile("\\bad[if]_\\d+\\[l_").matcher(String.join("\n", kernels.values())).find(), "an index of local memory counts bytes");
        assertEquals(Stream.concat(products.keySet().stream(), others.stream()).sorted().toList(), List.copyOf(kernels.keySet()));
        Built built = built(compiled);
        for (String kernel : kernels.keySet()) {
            int most = products.containsKey(kernel) ? bytes : 0;
            assertTrue(built.frames().get(kernel) <= most, () -> "stack frame of " + kernel + ": " + built.frames().get(kernel));
        }
        Map<String, InnerLoop> loops = built.loops();
        products.forEach((String kernel, Integer each) -> {
            InnerLoop loop = loops.get(kernel);
            int sixteens = Math.max(1, (int) loop.count("ex2.approx") / 8);
            assertEquals(each * sixteens, loop.count("mma.sync"), kernel);
            assertEquals(0, loop.count(".local"), kernel);
        });
    }

    /** Eight kernels; what they keep in memory is kept outside of the loops over tiles. */
    @ParameterizedTest
    @CsvSource({"64, 33, 400", "128, 128, 800"})
    void backward(String headDim, String valueDim, int bytes) throws Exception {
        String compiled = "backward:" + headDim + ":" + valueDim;
        String source = source(compiled);
        assertPlainConditions(source);
        Map<String, String> kernels = kernels(source);
        assertEquals(List.of("gather", "keys", "largest", "list", "pack", "queries", "solve"), List.copyOf(kernels.keySet()));
        Map<String, Integer> frames = built(compiled).frames();
        for (String kernel : List.of("largest", "list", "pack")) {
            assertEquals(0, frames.get(kernel), "stack frame of " + kernel);
        }
        for (String kernel : List.of("gather", "keys", "queries")) {
            assertTrue(frames.get(kernel) <= bytes, "stack frame of " + kernel + ": " + frames.get(kernel));
        }
    }

    /** Two kernels that keep nothing in memory: scores and products of a key come from one load, sums from another. Of a pass, the loop with values. */
    @ParameterizedTest
    @CsvSource({"1, 64, 16, 32", "3, 64, 16, 32", "8, 64, 32, 64", "1, 128, 32, 64", "4, 128, 32, 64", "8, 128, 64, 128"})
    void decode(String heads, String headDim, int gather, int pass) throws Exception {
        String compiled = "decode:" + heads + ":" + headDim;
        Map<String, String> kernels = kernels(source(compiled));
        Map<String, Integer> products = Map.of("gather", gather, "run", pass);
        assertEquals(products.keySet(), kernels.keySet());
        kernels.forEach((name, kernel) -> {
            assertPlainConditions(kernel);
            assertLoopsSkip(kernel);
            assertFalse(Pattern.compile("\\w+\\[l_\\d+\\]").matcher(kernel).find(), () -> "in " + name + " a byte is taken for an element of a local array");
        });
        Built built = built(compiled);
        for (String name : products.keySet()) {
            assertEquals(0, built.frames().get(name), "stack frame of " + name);
            InnerLoop loop = built.loops().get(name);
            assertEquals(products.get(name).longValue(), loop.count("mma.sync"), name);
            assertEquals(0, loop.count(".local"), name);
        }
    }

    /**
     * The covariance's kernels. At head dim 64 a warp has 80 products for a head's matrix of 64 keys, 8 for scores and 4 for sums of 16 of the next
     * 64; at head dim 128 36 for half a matrix of 16 keys. Little in memory.
     */
    @ParameterizedTest
    @CsvSource({"4, 64, 92, 16", "4, 128, 36, 32"})
    void covariance(String heads, String headDim, int products, int moments) throws Exception {
        String compiled = "covariance:" + heads + ":" + headDim;
        Map<String, String> kernels = kernels(source(compiled));
        assertEquals(Set.of("advance", "begin", "moments"), kernels.keySet());
        kernels.forEach((name, kernel) -> {
            assertPlainConditions(kernel);
            assertLoopsSkip(kernel);
        });
        for (String kernel : List.of("begin", "moments")) {
            assertFalse(Pattern.compile("\\w+\\[u?l_\\d+\\]").matcher(kernels.get(kernel)).find(), "a byte is taken for an element of a local array: " + kernel);
        }
        Built built = built(compiled);
        assertEquals(0, built.frames().get("advance"));
        assertEquals(0, built.frames().get("begin"));
        assertTrue(built.frames().get("moments") <= moments, () -> "stack frame of moments: " + built.frames().get("moments"));
        InnerLoop loop = built.loops().get("moments");
        assertEquals(products, loop.count("mma.sync"));
        assertEquals(0, loop.count(".local"));
    }

    /** The shared covariance's kernels: 20 products for 16 keys beside the 16 of the first step. */
    @ParameterizedTest
    @CsvSource({"3", "4"})
    void preconditioned(String heads) throws Exception {
        String compiled = "preconditioned:" + heads + ":64";
        Map<String, String> kernels = kernels(source(compiled));
        assertEquals(Set.of("advance", "run", "gather"), kernels.keySet());
        kernels.forEach((name, kernel) -> {
            assertPlainConditions(kernel);
            assertLoopsSkip(kernel);
        });
        assertFalse(Pattern.compile("\\w+\\[l_\\d+\\]").matcher(kernels.get("gather")).find(), "a byte is taken for an element of a local array");
        Built built = built(compiled);
        assertEquals(0, built.frames().get("advance"));
        assertEquals(0, built.frames().get("run"));
        assertTrue(built.frames().get("gather") <= 8, () -> "stack frame of gather: " + built.frames().get("gather"));
        InnerLoop loop = built.loops().get("gather");
        assertEquals(36, loop.count("mma.sync"));
        assertEquals(0, loop.count(".local"));
    }

    /** Where arrays have another header, plain kernels must run: the operations add 16 bytes to an array's address. */
    @Test
    void refusesAnotherHeader() throws Exception {
        String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-XX:-UseCompressedOops").run(TileSource.class, "operations");
        assertTrue(said.contains("this JVM's flags give arrays a header of 24 bytes, not 16"), said);
    }

    /** Within a longer condition TornadoVM prints the opposite of {@code a || b} as {@code a && b}; that left a mask out of dk and dv. */
    private static void assertPlainConditions(String source) {
        source.lines().filter(line -> line.contains("||") && line.contains("&&")).findFirst()
                .ifPresent(line -> fail("a condition may have lost a negation: " + line.strip()));
    }

    /**
     * Where a loop's body is behind {@code a || b}, TornadoVM sets the loop's variable where both are false, and then goes on with the body: such
     * a variable is set at more places than before the loop and at its end.
     */
    private static void assertLoopsSkip(String kernel) {
        for (MatchResult loop : Pattern.compile("for\\(;(i_\\d+) [<>]").matcher(kernel).results().toList()) {
            long places = Pattern.compile("(?m)^\\s*" + loop.group(1) + "  =  [^;]*;").matcher(kernel).results().count();
            assertTrue(places <= 2, () -> "a loop of " + loop.group(1) + " in " + kernel);
        }
    }

    /** @param compiled an argument of {@link TileSource} */
    private static String source(String compiled) throws Exception {
        assertTrue(COMPILED.contains(compiled), () -> compiled + " is not compiled: add it to COMPILED");
        if (SOURCES.isEmpty()) {
            String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-Dtornado.printKernel=True")
                    .run(TileSource.class, COMPILED.toArray(String[]::new));
            assertTrue(said.endsWith("done"), () -> said.lines().reduce("", (a, b) -> b));
            for (String part : said.substring(said.indexOf(TileSource.KERNELS)).split("(?m)^" + TileSource.KERNELS)) {
                if (!part.isEmpty()) {
                    SOURCES.put(part.lines().findFirst().orElseThrow(), part);
                }
            }
        }
        return SOURCES.get(compiled);
    }

    /** By name; of two tasks that run the same kernel the first one's. */
    private static Map<String, String> kernels(String source) {
        Map<String, String> kernels = new TreeMap<>();
        KERNEL.matcher(source).results().forEach(kernel -> kernels.putIfAbsent(kernel.group(3), kernel.group()));
        return kernels;
    }

    /** Skips the rest of the test without nvcc. */
    private static Built built(String compiled) throws Exception {
        List<String> together = LISTED.contains(compiled) ? List.of(compiled) : OF_WARP_GROUPS.contains(compiled) ? OF_WARP_GROUPS : OTHERS;
        String file = together.getFirst();
        if (!BUILT.containsKey(file)) {
            said(NO_NVCC, "nvcc", "--version"); // before the sources are put together
            StringBuilder text = new StringBuilder();
            for (String source : together) {
                text.append("#line 1 \"").append(source).append("\"\n"); // where nvcc's messages say that they are from
                kernels(source(source)).forEach((String name, String kernel) ->
                        text.append(kernel.replaceFirst("\\b" + name + "\\(", prefix(source) + name + "(")).append('\n'));
            }
            BUILT.put(file, built(OF_WARP_GROUPS.contains(file) ? WarpGroup.ARCHITECTURE : "sm_90", file, text.toString()));
        }
        return BUILT.get(file).of(prefix(compiled));
    }

    private static String prefix(String compiled) {
        return compiled.replace(':', '_') + "_";
    }

    private static Built built(String architecture, String name, String kernels) throws Exception {
        Path file = folder.resolve(name.replace(':', '-') + ".cu");
        Path ptx = Path.of(file + ".ptx");
        Path cubin = Path.of(file + ".cubin");
        Files.writeString(file, "#include <cuda_fp16.h>\n" + kernels);
        nvcc(architecture, "-ptx", "-o", ptx.toString(), file.toString());
        String said = nvcc(architecture, "-Xptxas", "-v", "-cubin", "-o", cubin.toString(), ptx.toString());
        Map<String, Integer> frames = new HashMap<>();
        Matcher matcher = Pattern.compile("properties for (\\w+)\\s+(\\d+) bytes stack frame").matcher(said);
        while (matcher.find()) {
            frames.put(matcher.group(1), Integer.parseInt(matcher.group(2)));
        }
        return new Built(InnerLoop.ofPtx(Files.readString(ptx)), cubin, frames, said);
    }

    private static String nvcc(String architecture, String... arguments) throws IOException, InterruptedException {
        return said(NO_NVCC, Stream.concat(Stream.of("nvcc", "-w", "-arch=" + architecture), Stream.of(arguments)).toArray(String[]::new));
    }

    private static String sass(Path cubin) throws IOException, InterruptedException {
        String[] command = {"cuobjdump", "-sass", cubin.toString()};
        try {
            new ProcessBuilder("cuobjdump", "--version").redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile()).start().waitFor();
        } catch (IOException e) {
            command = new String[] {"nvdisasm", "-c", cubin.toString()};
        }
        return said("there is neither cuobjdump nor nvdisasm", command);
    }

    /** What a program prints; skips the rest of the test where it is not here. */
    private static String said(String missing, String... command) throws IOException, InterruptedException {
        Path log = folder.resolve("log");
        int status;
        try {
            status = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start().waitFor();
        } catch (IOException e) {
            Assumptions.abort(missing + ": " + e.getMessage());
            return "";
        }
        String said = Files.readString(log);
        assertEquals(0, status, said);
        return said;
    }
}
