package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files with bytes changed, cut or repeated are read or refused in a sentence, soon, and in little memory. */
class MutatedFilesTest {
    static final long SEED = 20261129;
    /** {@code -Dflashlla.mutations=100} tries a hundred times as many. */
    private static final int TIMES = Integer.getInteger("flashlla.mutations", 1);
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));
    /** A message, a stop of the collector and a slow disk included, takes no longer. */
    private static final double SLOWEST_SECONDS = 0.1;

    @TempDir
    Path folder;

    @Test
    void arrays() throws IOException {
        examine(ROOT.resolve("src/test/resources/golden/decode/q.npy"), "a.npy", 1500, 200, file -> new String[] {"run", "--q", file, "--k", file,
            "--v", file, "--out", folder.resolve("o.npy").toString(), "--grad", folder.resolve("none.npy").toString(), "--out-grads",
            folder.toString()}); // q, k and v are read before the gradient, which is never there
    }

    @Test
    void safetensors() throws IOException {
        examine(ROOT.resolve("src/test/resources/tensors/hand.safetensors"), "a.safetensors", 400, 440, file -> new String[] {"run", "--q",
            file + ":layer.0.q", "--k", file + ":layer.0.q", "--v", file + ":layer.0.q", "--out", folder.resolve("o.npy").toString(), "--grad",
            folder.resolve("none.npy").toString(), "--out-grads", folder.toString()});
    }

    @Test
    void archives() throws IOException {
        examine(ROOT.resolve("src/test/resources/tensors/plain.npz"), "a.npz", 400, 1 << 20, file -> new String[] {"run", "--q", file + ":q",
            "--k", file + ":q", "--v", file + ":q", "--out", folder.resolve("o.npy").toString(), "--grad",
            folder.resolve("none.npy").toString(), "--out-grads", folder.toString()});
    }

    @Test
    void records() throws IOException {
        examine(ROOT.resolve("src/test/resources/records/jvm.json"), "a.json", 600, 1 << 20, file -> new String[] {"compare", file});
    }

    @Test
    void suites() throws IOException {
        examine(ROOT.resolve("bench/suites/quick.yaml"), "a.yaml", 200, 1 << 20, file -> new String[] {"bench", "--suite", file, "--device",
            "nobody"}); // the suite is read before devices are looked for
    }

    /** @param reach how far into the file changes go */
    private void examine(Path original, String name, int files, int reach, Function<String, String[]> command) throws IOException {
        int count = files * TIMES;
        byte[] whole = Files.readAllBytes(original);
        Path file = folder.resolve(name);
        String[] words = command.apply(file.toString());
        Files.write(file, whole);
        for (int i = 0; i < 20; i++) {
            run("unchanged", words); // so that no time counts that classes take to load
        }
        Random random = new Random(SEED);
        int refused = 0;
        for (int i = 0; i < count; i++) {
            Files.write(file, mutate(whole, reach, random));
            String which = name + " " + i + " of seed " + SEED;
            double seconds = Double.POSITIVE_INFINITY;
            for (int attempt = 0; attempt < 20 && seconds > SLOWEST_SECONDS; attempt++) { // other work on the machine is no fault
                long began = System.nanoTime();
                refused += run(which, words).contains(name) && attempt == 0 ? 1 : 0;
                seconds = Math.min(seconds, (System.nanoTime() - began) / 1e9);
            }
            assertTrue(seconds <= SLOWEST_SECONDS, which + " takes " + seconds + " s");
        }
        System.out.println(name + ": " + refused + " of " + count + " refused, seed " + SEED);
        assertTrue(refused > count / 10, refused + " refused");
    }

    /** What the command says on standard error. */
    private static String run(String which, String... command) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), command);
        String said = err.toString();
        assertFalse(said.contains("\tat ") || said.contains("mistake in the program"), which + ": " + said);
        if (status != 0) {
            assertEquals(2, status, which + ": " + said);
            assertEquals("", out.toString());
            List<String> lines = said.lines().filter(line -> !line.startsWith("note: ")).toList();
            assertEquals(1, lines.size(), which + ": " + said);
            assertSentence(which, lines.getFirst());
        }
        return said;
    }

    private static void assertSentence(String which, String said) {
        assertTrue(said != null && !said.isBlank(), which);
        assertTrue(said.length() < 2000, which + ": " + said);
        assertTrue(said.codePoints().noneMatch(Character::isISOControl), which + ": " + said);
        assertFalse(said.contains("java.") || said.contains("Exception"), which + ": " + said);
    }

    /** One to four changes: a byte set, a bit turned, bytes cut from the end or the middle, or a piece repeated. */
    static byte[] mutate(byte[] whole, int reach, Random random) {
        byte[] bytes = whole.clone();
        for (int n = 1 + random.nextInt(4); n > 0 && bytes.length > 1; n--) {
            int at = random.nextInt(Math.min(reach, bytes.length));
            int length = Math.min(1 + random.nextInt(64), bytes.length - at);
            switch (random.nextInt(8)) {
                case 0 -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
                case 1 -> bytes = join(bytes, at, at + length);
                case 2 -> bytes = join(bytes, at + length, at);
                case 3, 4 -> bytes[at] = (byte) random.nextInt(256);
                case 5 -> bytes[at] = (byte) "0123456789-+.eE,:(){}[]'\"\\ \n\t\0".charAt(random.nextInt(30));
                default -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            }
        }
        return bytes;
    }

    /** Bytes before {@code end}, then those from {@code start}. */
    private static byte[] join(byte[] bytes, int end, int start) {
        byte[] joined = Arrays.copyOf(bytes, end + bytes.length - start);
        System.arraycopy(bytes, start, joined, end, bytes.length - start);
        return joined;
    }
}
