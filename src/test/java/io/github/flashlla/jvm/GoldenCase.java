package io.github.flashlla.jvm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** One folder of the test vectors: inputs and the float64 answers to them. */
record GoldenCase(Path folder, JsonNode parameters) {

    static List<GoldenCase> all() {
        Path root = Path.of(System.getProperty("flashlla.root", "."), "src/test/resources/golden");
        try (Stream<Path> folders = Files.list(root)) {
            return folders.sorted().map(GoldenCase::read).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static GoldenCase read(Path folder) {
        try {
            return new GoldenCase(folder, new ObjectMapper().readTree(folder.resolve("case.json").toFile()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    String name() {
        return folder.getFileName().toString();
    }

    LlaOptions options() {
        return LlaOptions.defaults().withScale(parameters.get("scale").asDouble())
                .withCausal(parameters.get("causal").asBoolean());
    }

    LlaInputs inputs() {
        return new LlaInputs(tensor("q"), tensor("k"), tensor("v"), tensor("lambda"));
    }

    Tensor tensor(String name) {
        return npy(folder.resolve(name + ".npy"));
    }

    /** A .npy file of version 1, little-endian float64 or float32. */
    static Tensor npy(Path file) {
        try {
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
            int headerLength = bytes.getShort(8);
            String header = new String(bytes.array(), 10, headerLength, StandardCharsets.US_ASCII);
            String shape = header.substring(header.indexOf('(') + 1, header.indexOf(')'));
            long[] dims = Arrays.stream(shape.split(",")).map(String::strip).filter(s -> !s.isEmpty())
                    .mapToLong(Long::parseLong).toArray();
            bytes.position(10 + headerLength);
            if (header.contains("<f4")) {
                float[] values = new float[bytes.remaining() / Float.BYTES];
                bytes.asFloatBuffer().get(values);
                return Tensor.of(values, dims);
            }
            double[] values = new double[bytes.remaining() / Double.BYTES];
            bytes.asDoubleBuffer().get(values);
            return Tensor.of(values, dims);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public String toString() {
        return name();
    }
}
