package io.github.flashlla.tornadovm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornadovm.KernelCache.Kernel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelCacheTest {
    private static final Kernel KERNEL = new Kernel("solve", List.of("READ_ONLY", "", "WRITE_ONLY"), new byte[] {1, 0, -1, 7});

    @TempDir
    private Path temporary;
    private Path folder;

    @BeforeEach
    void name() {
        folder = temporary.resolve("cache/kernels");
    }

    @Test
    void aKernelComesBackAsItWas() {
        cache("here").write("key", KERNEL);
        Kernel read = cache("here").read("key").orElseThrow();

        assertEquals("solve", read.name());
        assertEquals(KERNEL.notes(), read.notes());
        assertArrayEquals(KERNEL.code(), read.code());
    }

    /** {@code cuda:1} is shown alone to its JVM, and its kernels are those of {@code cuda:0}. */
    @Test
    void aGpuShownAloneHasTheCodeOfItsKind() {
        assertEquals(List.of("CUDA_PATH=/cuda", "OCL_ICD_VENDORS=/v"),
                Surroundings.ofCode(List.of("CUDA_PATH=/cuda", "CUDA_VISIBLE_DEVICES=1", "OCL_ICD_VENDORS=/v")));
    }

    @Test
    void otherKeysAndOtherSurroundingsHaveNone() {
        cache("here").write("key", KERNEL);

        assertEquals(Optional.empty(), cache("here").read("another key"));
        assertEquals(Optional.empty(), cache("another driver").read("key"));
    }

    /** Every length that a file may be cut off at, and every bit that may fall over. */
    @Test
    void aBrokenFileIsAsGoodAsNone() throws IOException {
        cache("here").write("key", KERNEL);
        Path file = onlyFile();
        byte[] whole = Files.readAllBytes(file);
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, Arrays.copyOf(whole, length));
            assertEquals(Optional.empty(), cache("here").read("key"), "cut off at " + length);
        }
        for (int bit = 0; bit < 8 * whole.length; bit++) {
            byte[] changed = whole.clone();
            changed[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(file, changed);
            assertEquals(Optional.empty(), cache("here").read("key"), "bit " + bit);
        }
        cache("here").write("key", KERNEL);
        assertTrue(cache("here").read("key").isPresent(), "written again");
    }

    /** As a file that was renamed, or copied from another machine's cache by hand. */
    @Test
    void aFileUnderAnotherNameIsAsGoodAsNone() throws IOException {
        cache("here").write("key", KERNEL);
        Path one = onlyFile();
        byte[] bytes = Files.readAllBytes(one);
        Files.delete(one);
        cache("here").write("other", KERNEL);
        Files.write(onlyFile(), bytes);

        assertEquals(Optional.empty(), cache("here").read("other"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a file of someone else's", "\u0000\u0001"})
    void doctorSeesForeignFiles(String text) throws IOException {
        cache("here").write("key", KERNEL);
        assertEquals(new CacheFolder.Examination(true, folder + ", 1 kernel, " + Files.size(onlyFile()) + " B"), KernelCache.examine(folder));
        Files.writeString(folder.resolve("foreign.kernel"), text);
        CacheFolder.Examination found = KernelCache.examine(folder);

        assertFalse(found.sound());
        assertTrue(found.text().contains("1 kernel") && found.text().contains("1 file is ignored"), found.text());
    }

    @Test
    void aFolderThatRefusesFilesIsSaidAndNothingElse() throws IOException {
        Files.writeString(temporary.resolve("cache"), "a file where a folder should be");
        cache("here").write("key", KERNEL);

        assertEquals(Optional.empty(), cache("here").read("key"));
        assertTrue(KernelCache.examine(folder).text().contains("refuses files"), KernelCache.examine(folder).text());
    }

    @Test
    void anAbsentFolderIsEmptyAndSound() {
        assertEquals(new CacheFolder.Examination(true, folder + ", empty"), KernelCache.examine(folder));
        assertEquals(Optional.empty(), cache("here").read("key"));
    }

    @Test
    void writersAtOnceLeaveOneWholeFileAndNothingElse() throws IOException {
        List<CompletableFuture<Void>> writers = IntStream.range(0, 64)
                .mapToObj(i -> CompletableFuture.runAsync(() -> cache("here").write("key", KERNEL))).toList();
        boolean there = false;
        while (!writers.stream().allMatch(CompletableFuture::isDone)) {
            boolean now = cache("here").read("key").isPresent();
            assertTrue(now || !there, "a file that was whole stays whole");
            there = now;
        }
        writers.forEach(CompletableFuture::join);

        assertTrue(cache("here").read("key").isPresent());
        onlyFile();
    }

    @Test
    void theOldestFilesGoWhenThereAreTooMany() throws IOException {
        KernelCache small = new KernelCache(folder, "here", 3, 1 << 20);
        for (int i = 0; i < 5; i++) {
            small.write("key " + i, KERNEL);
            for (Path file : files()) {
                Files.setLastModifiedTime(file, java.nio.file.attribute.FileTime.fromMillis(Files.getLastModifiedTime(file).toMillis() - 1000));
            }
        }
        assertEquals(3, files().size());
        assertEquals(Optional.empty(), small.read("key 0"));
        assertTrue(small.read("key 4").isPresent());

        new KernelCache(folder, "here", 3, 2 * Files.size(files().getFirst())).write("key 5", KERNEL);
        assertEquals(2, files().size(), "by their bytes");
    }

    private KernelCache cache(String surroundings) {
        return new KernelCache(folder, surroundings, 100, 1 << 20);
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    private Path onlyFile() throws IOException {
        List<Path> files = files();
        assertEquals(1, files.size(), files::toString);
        return files.getFirst();
    }
}
