package io.github.flashlla.verify;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * One folder of test vectors: q, k, v, ridge, g and the float64 answers o, kbar, x, lse, dq, dk, dv, dridge as .npy files (in older folders the
 * ridge is called lambda, and dridge dlambda),
 * and {@code case.json} with scale and causal.
 *
 * @param folder where it lies; its name is the case's
 */
public record GoldenCase(Path folder, double scale, boolean causal) {
    /** What the answer is made of. */
    static final List<String> STATES = List.of("kbar", "x", "lse");

    /** Every case below a folder, by name. */
    public static List<GoldenCase> all(Path root) {
        try (Stream<Path> folders = Files.list(root)) {
            List<GoldenCase> cases = folders.filter(folder -> Files.exists(folder.resolve("case.json"))).sorted()
                    .map(GoldenCase::read).toList();
            if (cases.isEmpty()) {
                throw new InvalidInputException(root + " holds no test vectors: no folder in it has a case.json.");
            }
            return cases;
        } catch (IOException e) {
            throw new InvalidInputException(root + " holds no test vectors that can be read; name their folder with --golden.");
        }
    }

    private static GoldenCase read(Path folder) {
        Path file = folder.resolve("case.json");
        try {
            JsonNode parameters = new ObjectMapper().readTree(file.toFile());
            JsonNode scale = parameters.path("scale");
            JsonNode causal = parameters.path("causal");
            if (!scale.isNumber() || !Double.isFinite(scale.asDouble()) || scale.asDouble() == 0) {
                throw new InvalidInputException(file + " has no scale that is a number, finite and not 0; correct it");
            }
            if (!causal.isBoolean()) {
                throw new InvalidInputException(file + " has no causal that is true or false; correct it");
            }
            GoldenCase golden = new GoldenCase(folder, scale.asDouble(), causal.asBoolean());
            golden.requireStates();
            return golden;
        } catch (IOException | IllegalArgumentException e) {
            throw new InvalidInputException(file + " is not a test case's description: " + Printable.text(e.getMessage().lines().findFirst().orElse("")));
        }
    }

    /** A file of {@link #STATES}, where the case has it. */
    Optional<Tensor> state(String name) {
        return Files.exists(folder.resolve(name + ".npy")) ? Optional.of(tensor(name)) : Optional.empty();
    }

    /** There or not, it must not be broken. */
    private void requireStates() {
        for (String state : STATES) {
            Path file = folder.resolve(state + ".npy");
            if (!Files.exists(file)) {
                continue;
            }
            Tensor stored = Npy.read(file);
            long[] q = tensor("q").dims();
            long[] want = state.equals("lse") ? Arrays.copyOf(q, q.length - 1) : q;
            if (!Arrays.equals(stored.dims(), want)) {
                throw new InvalidInputException(file + " has shape " + Tensor.shapeString(stored.dims()) + ", but its case needs "
                        + Tensor.shapeString(want) + "; write it again");
            }
            long bad = stored.firstNonFinite();
            if (bad >= 0) {
                throw new InvalidInputException(file + " holds " + stored.get(bad) + " at " + stored.coordinates(bad) + "; write it again");
            }
        }
    }

    public String name() {
        return folder.getFileName().toString();
    }

    /** Scores in the hundreds: plain float32 loses more there. */
    public boolean isPeaked() {
        return name().equals("peaked");
    }

    public LlaOptions options() {
        return LlaOptions.defaults().withScale(scale).withCausal(causal);
    }

    /**
     * Largest error of a float64 device. The stored answers of {@code peaked} are float64 themselves and further from the
     * truth than that: its worst query is off by 7e-10 of 6 against a solve in 60 digits, the reference's by 2e-12.
     */
    public double referenceBar() {
        return isPeaked() ? 1e-10 : 1e-12;
    }

    /** The same for gradients. */
    public double referenceGradientBar() {
        return isPeaked() ? 1e-7 : 1e-10;
    }

    /** Inputs in float64, a ridge for each query. */
    public LlaInputs inputs() {
        return new LlaInputs(tensor("q"), tensor("k"), tensor("v"), tensor("ridge"));
    }

    /** A file of the case by its name without {@code .npy}; {@code ridge} and {@code dridge} under their older names, too. */
    public Tensor tensor(String name) {
        Path file = folder.resolve(name + ".npy");
        Path older = folder.resolve(name.replace("ridge", "lambda") + ".npy");
        return Npy.read(Files.exists(file) || !Files.exists(older) ? file : older);
    }

    @Override
    public String toString() {
        return name();
    }
}
