package io.github.flashlla.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Files of named tensors. {@code hand.safetensors} was put together byte by byte after the format's description, {@code .npz} files by NumPy. */
class TensorFileTest {
    private static final String FILES = Path.of(System.getProperty("flashlla.root", ".")).resolve("src/test/resources/tensors") + "/";

    @TempDir
    Path folder;

    @Test
    void aFileWrittenByHandReadsRight() {
        Tensor q = read("hand.safetensors:layer.0.q");
        assertEquals(DataType.FLOAT32, q.type());
        assertArrayEquals(new long[] {1, 2, 2}, q.dims());
        assertArrayEquals(new float[] {1, -2.5f, 3.25f, 1e-3f}, q.toFloatArray());
        Tensor k = read("hand.safetensors:layer.0.k");
        assertEquals(DataType.BFLOAT16, k.type());
        assertArrayEquals(new float[] {1, -2.5f, 3.25f}, k.toFloatArray());
        assertArrayEquals(new float[] {1, -2.5f}, read("hand.safetensors:half").toFloatArray());
        assertArrayEquals(new double[] {0.1}, read("hand.safetensors:scalar").toDoubleArray());
        assertArrayEquals(new long[] {0, 4}, read("hand.safetensors:empty").dims());
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = ';', value = {
        "hand.safetensors; hand.safetensors:NAME", "hand.safetensors:q; holds no tensor 'q'; it holds layer.0.q, layer.0.k",
        "hand.safetensors:steps; 'steps' as I64; supported is F64, F32, F16 and BF16", "none.safetensors:q; does not exist",
        "plain.npz; holds 2 tensors; name one", "plain.npz:v; holds no tensor 'v'; it holds q, k.", "none.npz:q; does not exist"})
    void whatIsNotThereIsNamed(String place, String said) {
        assertRefused(TensorFile.of(FILES + place), said);
    }

    @Test
    void arraysOfNpzFilesAreReadByName() {
        assertArrayEquals(new float[] {0, 0.25f, 0.5f, 0.75f, 1, 1.25f}, read("plain.npz:q").toFloatArray());
        assertArrayEquals(new double[] {0, 1, 2, 3}, read("plain.npz:k").toDoubleArray());
        assertEquals(599 / 4.0, read("packed.npz").get(599));
    }

    /** A pipe is read once, but several of its tensors may be asked for. */
    @Test
    void pipesGiveTensorsByName() throws Exception {
        Path tensors = pipe(Path.of(FILES + "hand.safetensors"));
        assertArrayEquals(new float[] {1, -2.5f, 3.25f, 1e-3f}, TensorFile.of(tensors + ":layer.0.q").read().toFloatArray());
        assertArrayEquals(new float[] {1, -2.5f, 3.25f}, TensorFile.of(tensors + ":layer.0.k").read().toFloatArray());
        assertRefused(TensorFile.of(tensors + ":q"), tensors + " holds no tensor 'q'");
        Path arrays = pipe(Path.of(FILES + "plain.npz"));
        assertArrayEquals(new double[] {0, 1, 2, 3}, TensorFile.of(arrays + ":k").read().toDoubleArray());
        assertRefused(TensorFile.of(arrays.toString()), arrays + " holds 2 tensors; name one as " + arrays + ":NAME");
        assertRefused(TensorFile.of(pipe(Files.writeString(folder.resolve("text"), "PK is no archive")).toString()), "is no .npz file");
        assertRefused(TensorFile.of(pipe(Files.writeString(folder.resolve("text"), "12345678{}")).toString()), "claims a header of");
        assertRefused(TensorFile.of(pipe(Files.writeString(folder.resolve("text"), "nothing")) + ":q"), "is not a .npy file");
        assertRefused(TensorFile.of(pipe(Files.writeString(folder.resolve("text"), "")).toString()), "is empty");
        byte[] whole = Files.readAllBytes(Path.of(FILES + "plain.npz"));
        assertRefused(TensorFile.of(pipe(Files.write(folder.resolve("text"), Arrays.copyOf(whole, whole.length / 2))) + ":q"), "truncated: an archive's end is missing");
    }

    private Path pipe(Path content) throws Exception {
        Path pipe = folder.resolve("pipe" + System.nanoTime());
        Assumptions.assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0, "no named pipes here");
        byte[] bytes = Files.readAllBytes(content);
        Thread.ofVirtual().start(() -> {
            try {
                Files.write(pipe, bytes, StandardOpenOption.WRITE);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        return pipe;
    }

    /** @param header with ' for " */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}; ''; 8", // right, so that the others differ by what they show
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}; truncated or broken; 7",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}; truncated or broken; 9",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}}; needs another number; 8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,16]}}; begin at byte 8; 16",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,9223372036854775807]}}; truncated or broken; 8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}; in order; 8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}}; in order; 8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8.5]}}; in order; 8",
        "{'a':{'dtype':'F32','shape':[4611686018427387904,4],'data_offsets':[0,8]}}; more than any memory; 8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'b':{'dtype':'F32','shape':[2],'data_offsets':[4,12]}}; begin at byte 4; 12",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}; no JSON; 8",
        "{'a':{'shape':[2],'data_offsets':[0,8]}}; without a dtype; 8",
        "['a']; no JSON object; 8", "{'a':; no JSON; 8", "{'a':7}; without a dtype; 8"})
    void headersAreHeldToTheFile(String header, String said, int bytes) throws IOException {
        byte[] text = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        ByteBuffer whole = ByteBuffer.allocate(8 + text.length + bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).put(text);
        TensorFile place = new TensorFile(Files.write(folder.resolve("a.safetensors"), whole.array()), "a");
        if (said.equals("''")) {
            assertEquals(2, place.read().size());
        } else {
            assertRefused(place, said);
        }
    }

    @Test
    void claimsOfLengthAreNotBelieved() throws IOException {
        for (long length : new long[] {Long.MAX_VALUE, -1, 99_000_000, 0}) {
            byte[] bytes = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
            assertRefused(new TensorFile(Files.write(folder.resolve("a.safetensors"), bytes), "a"), "claims a header");
        }
        assertRefused(new TensorFile(Files.write(folder.resolve("a.safetensors"), new byte[9]), "a"), "truncated");
    }

    @ParameterizedTest
    @EnumSource
    void whatIsWrittenIsReadBack(DataType type) throws IOException {
        Tensor tensor = Tensor.allocate(type, 2, 3);
        for (int i = 0; i < 6; i++) {
            tensor.set(i, i * 0.75 - 3);
        }
        TensorFile place = TensorFile.of(folder.resolve("o.safetensors") + ":attn \"o\"");
        try (OutputFile output = OutputFile.create(place.file())) {
            place.writeTo(output, tensor);
            output.commit();
        }
        Tensor back = place.read();
        assertEquals(type, back.type());
        assertArrayEquals(tensor.dims(), back.dims());
        assertArrayEquals(tensor.toDoubleArray(), back.toDoubleArray());
    }

    @Test
    void anArchiveThatUnpacksToMoreThanItHoldsIsRefused() throws IOException {
        Path file = folder.resolve("a.npz");
        byte[] npy = NpyHeader.format(DataType.FLOAT32, new long[] {1 << 28});
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry("a.npy"));
            zip.write(npy);
            zip.write(new byte[64]);
        }
        assertRefused(new TensorFile(file, "a"), "it is broken");
        byte[] bytes = Files.readAllBytes(Path.of(FILES + "plain.npz"));
        String said = assertThrows(InvalidInputException.class, () -> new TensorFile(Path.of(FILES + "plain.npz"), "zz").read()).getMessage();
        assertTrue(said.startsWith(FILES + "plain.npz holds no tensor 'zz'; it holds "), said);
        bytes[200] ^= 1; // an element of q
        assertRefused(new TensorFile(Files.write(file, bytes), "q"), "checksum");
        assertRefused(new TensorFile(Files.write(file, "no archive".getBytes(StandardCharsets.UTF_8)), "q"), "no .npz file");
    }

    private static Tensor read(String place) {
        return TensorFile.of(FILES + place).read();
    }

    private static void assertRefused(TensorFile place, String said) {
        String message = assertThrows(InvalidInputException.class, place::read).getMessage();
        assertTrue(message.contains(said), message);
        assertTrue(message.startsWith(place.file().toString()), message);
    }
}
