package io.github.flashlla.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class NpyTest {
    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource
    void whatIsWrittenIsReadBack(DataType type) throws IOException {
        Tensor tensor = Tensor.allocate(type, 2, 3, 5);
        for (int i = 0; i < 30; i++) {
            tensor.set(i, i * 0.75 - 3);
        }
        Path file = folder.resolve("t.npy");
        Npy.write(file, tensor);
        Tensor back = Npy.read(file);
        assertEquals(type, back.type());
        assertArrayEquals(tensor.dims(), back.dims());
        assertArrayEquals(tensor.toDoubleArray(), back.toDoubleArray());
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList(), "no temporary file is left");
        }
    }

    @Test
    void elementsStartOnA64ByteBoundary() throws IOException {
        Path file = folder.resolve("t.npy");
        Npy.write(file, Tensor.of(new float[] {1, 2, 3}, 3));
        assertEquals(12, Files.size(file) % 64);
        assertTrue(Files.readString(file, StandardCharsets.ISO_8859_1).contains("'shape': (3,)"));
    }

    static Stream<Arguments> refused() {
        return Stream.of(
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), } -1e9 (", 16, "no dictionary"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }, {", 16, "no dictionary"),
                Arguments.of("'descr': '>f4', 'fortran_order': False, 'shape': (2, 2), ", 16, "big-endian"),
                Arguments.of("'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), ", 16, "Fortran order"),
                Arguments.of("'descr': '|O', 'fortran_order': False, 'shape': (2, 2), ", 16, "object dtype"),
                Arguments.of("'descr': '<i8', 'fortran_order': False, 'shape': (2, 2), ", 32, "the dtype '<i8'"),
                Arguments.of("'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2), ", 16, "structured"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, -2), ", 16, "negative size"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), ", 16, "more than any"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), ", 16, "more than any"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 100), ", 16, "truncated"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, x), ", 16, "no list of sizes"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", 15, "truncated"),
                Arguments.of("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", 17, "more than its shape"),
                Arguments.of("'descr': '<f4', 'shape': (2, 2), ", 16, "without descr"));
    }

    @ParameterizedTest(name = "{0} + {1} bytes: {2}")
    @MethodSource
    void refused(String dictionary, int dataBytes, String said) throws IOException {
        assertRefused(file(dictionary, 1, dataBytes), said);
    }

    @Test
    void versions2And3AreRead() throws IOException {
        for (int version = 2; version <= 3; version++) {
            Path file = file("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", version, 16);
            assertArrayEquals(new long[] {2, 2}, Npy.read(file).dims());
        }
        assertRefused(file("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", 9, 16), "format version 9");
    }

    @Test
    void whatIsNoNpyFileIsRefused() throws IOException {
        Path text = Files.writeString(folder.resolve("t.npy"), "not an array at all");
        assertRefused(text, "is not a .npy file");
        assertRefused(Files.write(folder.resolve("empty.npy"), new byte[0]), "is not a .npy file");
        assertRefused(folder, "is a directory");
        assertRefused(folder.resolve("missing.npy"), "does not exist");
    }

    @Test
    void sizesOfPython2AndKeysThatAreThereTwiceAreReadAsNumPyDoes() throws IOException {
        assertArrayEquals(new long[] {2, 2}, Npy.read(file("'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L), ", 1, 16)).dims());
        assertArrayEquals(new long[] {4}, Npy.read(file("'shape': (2, 2), 'descr': '<f4', 'fortran_order': False, 'shape': (4,), ", 1, 16))
                .dims());
    }

    @Test
    void textOfAHeaderIsPrintableAndShort() throws IOException {
        for (String text : java.util.List.of("6\u001b[2J\r\nflashlla: done", "x".repeat(60_000), "-" + "1".repeat(60_000), "1".repeat(60_000))) {
            Path file = file("'descr': '<f4', 'fortran_order': False, 'shape': (" + text + ", 8), ", 1, 16);
            String said = assertThrows(InvalidInputException.class, () -> Npy.read(file)).getMessage();
            assertTrue(said.length() < 1000 && said.codePoints().noneMatch(Character::isISOControl), said);
        }
    }

    @Test
    void pipesAreReadAndHeldToTheirShape() throws Exception {
        byte[] whole = Files.readAllBytes(file("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", 1, 16));
        assertArrayEquals(new long[] {2, 2}, Npy.read(pipe(whole)).dims());
        assertRefused(pipe(java.util.Arrays.copyOf(whole, whole.length - 1)), "truncated");
        assertRefused(pipe(java.util.Arrays.copyOf(whole, whole.length + 1)), "more bytes");
        assertRefused(pipe(Files.readAllBytes(file("'descr': '<f4', 'fortran_order': False, 'shape': (1000, 1000, 1000), ", 1, 0))), "1 GiB");
    }

    private Path pipe(byte[] content) throws Exception {
        Path pipe = folder.resolve("pipe" + java.util.UUID.randomUUID());
        assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
        Thread.ofPlatform().daemon().start(() -> {
            try {
                Files.write(pipe, content, java.nio.file.StandardOpenOption.WRITE);
            } catch (IOException e) {
                return; // the reader had enough
            }
        });
        return pipe;
    }

    @Test
    void aTruncatedHeaderIsRefused() throws IOException {
        Path whole = file("'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), ", 1, 16);
        byte[] bytes = Files.readAllBytes(whole);
        for (int length : new int[] {7, 9, 12, 40}) {
            Path cut = Files.write(folder.resolve("cut.npy"), java.util.Arrays.copyOf(bytes, length));
            assertThrows(InvalidInputException.class, () -> Npy.read(cut), "cut at " + length);
        }
    }

    @Test
    void aPlaceThatCannotBeWrittenIsNamed() {
        Tensor tensor = Tensor.of(new float[] {1}, 1);
        assertTrue(assertThrows(InvalidInputException.class, () -> Npy.write(folder, tensor)).getMessage()
                .contains("is a directory"));
        assertTrue(assertThrows(InvalidInputException.class, () -> Npy.write(folder.resolve("no/such/t.npy"), tensor))
                .getMessage().contains("does not exist"));
    }

    private void assertRefused(Path file, String said) {
        String message = assertThrows(InvalidInputException.class, () -> Npy.read(file)).getMessage();
        assertTrue(message.contains(said), message);
        assertTrue(message.startsWith(file.toString()), message);
    }

    private Path file(String dictionary, int version, int dataBytes) throws IOException {
        byte[] text = ("{" + dictionary + "}\n").getBytes(StandardCharsets.ISO_8859_1);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', (byte) version, 0});
        out.write(text.length & 0xff);
        out.write(text.length >> 8);
        if (version > 1) {
            out.write(new byte[2]);
        }
        out.write(text);
        out.write(new byte[dataBytes]);
        return Files.write(folder.resolve("v" + version + ".npy"), out.toByteArray());
    }
}
