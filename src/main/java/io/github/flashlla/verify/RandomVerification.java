package io.github.flashlla.verify;

import io.github.flashlla.Device;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.verify.ProblemCheck.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * Random problems of every kind on one device against float64.
 *
 * @param right within the bar
 * @param said beyond it, and the result says so; or refused with a sentence
 * @param wrong beyond it without a word
 */
public record RandomVerification(long right, long said, long wrong) {
    private static final int SEED_BITS = 30;
    /** A problem's plan, and its twin's. */
    private static final int OPEN_PLANS = 2;

    /** A problem that is wrong, made as small as it stays wrong. */
    public record Failure(RandomProblem drawn, RandomProblem smallest, ProblemCheck check) {}

    /** How problems are drawn. */
    public enum Drawing {
        /** Each has sizes and options of its own, and what is wrong is made smaller. */
        ALL_DIFFERENT,
        /** Problems of the same sizes and options follow one another, for a device that compiles anew for each. */
        FEW_SHAPES;

        private static final int SHAPES = 60;
        /** One in so many layouts is strained: small ridges and few keys come together too seldom by chance. */
        private static final int EACH = 3;

        /** Which sizes and options the problem of an index has. */
        private long layout(long index, long count) {
            return this == ALL_DIFFERENT ? index : index * Math.min(SHAPES, count) / count;
        }

        long seed(long seed, long index, long count) {
            if (count == 1) {
                return seed; // repeats a problem
            }
            long layout = RandomProblem.mix(RandomProblem.mix(seed) + layout(index, count));
            long data = RandomProblem.mix(layout + index + 1);
            boolean strained = layout(index, count) % EACH == EACH - 1;
            return (strained ? RandomProblem.STRAINED : 0) | (layout >>> 64 - SEED_BITS) << RandomProblem.DATA_BITS | data >>> 64 - RandomProblem.DATA_BITS;
        }
    }

    /** Is told how a verification goes. */
    public interface Listener {
        /** A problem is wrong. */
        void failed(Failure failure);

        /** One more problem is done. */
        default void progress(RandomVerification soFar) {}
    }

    /** Draws and checks problems until there are {@code count}, or the time is over. */
    public static RandomVerification run(Device device, long count, long seed, Duration atMost, Drawing drawing, Listener listener) {
        long end = System.nanoTime() + atMost.toNanos();
        RandomVerification soFar = new RandomVerification(0, 0, 0);
        try (ProblemPlans plans = new ProblemPlans(device, drawing == Drawing.FEW_SHAPES ? OPEN_PLANS : 0)) {
            for (long i = 0; i < count && System.nanoTime() < end; i++) {
                RandomProblem problem = RandomProblem.draw(drawing.seed(seed, i, count));
                ProblemCheck check = ProblemCheck.of(plans, problem);
                soFar = soFar.plus(check.kind());
                if (check.kind() == Kind.WRONG) {
                    RandomProblem smallest = drawing == Drawing.FEW_SHAPES ? problem
                            : ProblemShrinker.shrink(problem, part -> ProblemCheck.of(plans, part).kind() == Kind.WRONG);
                    listener.failed(new Failure(problem, smallest, check));
                }
                listener.progress(soFar);
            }
        }
        return soFar;
    }

    private RandomVerification plus(Kind kind) {
        return new RandomVerification(right + (kind == Kind.RIGHT ? 1 : 0), said + (kind == Kind.SAID ? 1 : 0),
                wrong + (kind == Kind.WRONG ? 1 : 0));
    }

    public long problems() {
        return right + said + wrong;
    }

    /** The counts on one line. */
    public String summary(long seed) {
        return problems() + " problems: " + right + " right, " + said + " said to be inexact, " + wrong + " wrong, seed " + seed;
    }

    /** The command that repeats a problem. */
    public static String command(String device, RandomProblem problem) {
        return "flashlla verify --device " + device + " --random 1 --seed " + problem.seed();
    }

    /**
     * Writes a problem's arrays, and the command line that runs them, into a folder of its own.
     *
     * @return the folder
     */
    public static Path save(Path parent, String device, Failure failure) {
        RandomProblem problem = failure.smallest;
        Path folder = parent.resolve("problem-" + problem.seed());
        try {
            Files.createDirectories(folder);
            LlaInputs inputs = problem.inputs();
            String note = "";
            if (problem.lengths() != null) {
                int longest = 0;
                for (int i = 1; i < problem.lengths().length; i++) {
                    longest = problem.lengths()[i] > problem.lengths()[longest] ? i : longest;
                }
                inputs = Slices.sequence(inputs, longest, problem.lengths()[longest]);
                note = problem.lengths().length == 1 ? "" : "# the sequence with the longest cache; the command above has them all\n";
            }
            Npy.write(folder.resolve("q.npy"), inputs.q());
            Npy.write(folder.resolve("k.npy"), inputs.k());
            Npy.write(folder.resolve("v.npy"), inputs.v());
            write(folder, "ridge", inputs.ridge());
            write(folder, "g", problem.g());
            Files.writeString(folder.resolve("command.txt"), "# " + problem + "\n# " + failure.check + "\n" + command(device, problem) + "\n"
                    + note + runCommand(device, problem) + "\n");
            return folder;
        } catch (IOException e) {
            throw new InvalidInputException(folder + " cannot be written: " + e.getMessage() + ".");
        }
    }

    private static void write(Path folder, String name, Tensor tensor) {
        if (tensor != null) {
            Npy.write(folder.resolve(name + ".npy"), tensor);
        }
    }

    private static String runCommand(String device, RandomProblem problem) {
        LlaOptions options = problem.options();
        return "flashlla run --device " + device + " --q q.npy --k k.npy --v v.npy --out o.npy --scale="
                + options.scaleFor(problem.shape().headDim()) + (problem.inputs().ridge() == null ? " --ridge " + options.ridge()
                        : " --ridge-file ridge.npy") + (options.causal() ? "" : " --no-causal") + " --tol " + options.tolerance()
                + " --max-iter " + options.maxIterations() + " --precond " + options.preconditioner().name().toLowerCase(Locale.ROOT)
                + (problem.g() == null ? " --verify" : " --grad g.npy --out-grads gradients");
    }
}
