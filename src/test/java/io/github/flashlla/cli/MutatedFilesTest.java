package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.bench.Suite;
import io.github.flashlla.io.Npy;
import io.github.flashlla.record.RecordFile;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files with bytes changed, cut or repeated are read or refused in a sentence, soon, and in little memory. */
class MutatedFilesTest {
    static final long SEED = 20261129;
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));
    /** A message, a stop of the collector and a slow disk included, takes no longer. */
    private static final double SLOWEST_SECONDS = 0.1;

    @TempDir
    Path folder;

    @Test
    void arrays() throws IOException {
        examine(ROOT.resolve("src/test/resources/golden/decode/q.npy"), "a.npy", 5000, 200, Npy::read);
    }

    @Test
    void records() throws IOException {
        examine(ROOT.resolve("bench/results/cpu-2core/jvm.json"), "a.json", 2000, 1 << 20, file -> RecordFile.read(file, note -> { }));
    }

    @Test
    void suites() throws IOException {
        examine(ROOT.resolve("bench/suites/quick.yaml"), "a.yaml", 500, 1 << 20, Suite::read);
    }

    @Test
    void commandsSayOneSentence() throws IOException {
        Random random = new Random(SEED);
        Path array = ROOT.resolve("src/test/resources/golden/decode/q.npy");
        Path file = folder.resolve("a.npy");
        for (int i = 0; i < 200; i++) {
            Files.write(file, mutate(Files.readAllBytes(array), 100, random));
            refused(i, "run", "--q", file.toString(), "--k", file.toString(), "--v", file.toString(), "--out",
                    folder.resolve("o.npy").toString(), "--ridge", "2", "--device", "nobody");
        }
        Path record = folder.resolve("a.json");
        byte[] whole = Files.readAllBytes(ROOT.resolve("bench/results/cpu-2core/jvm.json"));
        for (int i = 0; i < 100; i++) {
            Files.write(record, mutate(whole, 1 << 20, random));
            refused(i, "compare", record.toString());
        }
    }

    /** @param reach how far into the file changes go */
    private void examine(Path original, String name, int count, int reach, Consumer<Path> reader) throws IOException {
        byte[] whole = Files.readAllBytes(original);
        Path file = folder.resolve(name);
        Files.write(file, whole);
        for (int i = 0; i < 20; i++) {
            reader.accept(file); // so that no time counts that classes take to load
        }
        Random random = new Random(SEED);
        int refused = 0;
        int slow = 0;
        for (int i = 0; i < count; i++) {
            Files.write(file, mutate(whole, reach, random));
            String which = name + " " + i + " of seed " + SEED;
            long began = System.nanoTime();
            try {
                reader.accept(file);
            } catch (InvalidInputException e) {
                refused++;
                assertSentence(which, e.getMessage());
            } catch (RuntimeException | Error e) {
                throw new AssertionError(which, e);
            }
            slow += System.nanoTime() - began > SLOWEST_SECONDS * 1e9 ? 1 : 0;
        }
        System.out.println(name + ": " + refused + " of " + count + " refused, seed " + SEED + ", slow " + slow);
        assertTrue(refused > count / 10, refused + " refused");
        assertTrue(slow <= count / 100, slow + " took more than " + SLOWEST_SECONDS + " s"); // other work on the machine is no fault
    }

    private static void refused(int i, String... command) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), command);
        String said = err.toString();
        assertFalse(said.contains("\tat ") || said.contains("mistake in the program"), command[0] + " " + i + ": " + said);
        if (status != 0) {
            assertEquals(2, status, command[0] + " " + i + ": " + said);
            assertEquals("", out.toString());
        }
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
