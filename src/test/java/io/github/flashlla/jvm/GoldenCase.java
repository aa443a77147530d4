package io.github.flashlla.jvm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
        return Npy.read(folder.resolve(name + ".npy"));
    }

    @Override
    public String toString() {
        return name();
    }
}
