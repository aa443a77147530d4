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
    /** Problems that share a plan's sizes and options on a device whose plans take long to make. */
    private static final int DISTINCT_WHERE_COMPILED = 60;

    private static final int SEED_BITS = 30;

    /** A problem that is wrong, made as small as it stays wrong. */
    public record Failure(RandomProblem drawn, RandomProblem smallest, ProblemCheck check) {}

    /**
     * Draws and checks problems until there are {@code count}, or the time is over.
     *
     * @param compiles whether a plan of this device takes long to make: fewer different sizes then
     * @param listener is told of each that is wrong
     */
    public static RandomVerification run(Device device, long count, long seed, Duration atMost, boolean compiles, Consumer<Failure> listener) {
        long end = System.nanoTime() + atMost.toNanos();
        long[] kinds = new long[Kind.values().length];
        for (long i = 0; i < count && System.nanoTime() < end; i++) {
            RandomProblem problem = RandomProblem.draw(count == 1 ? seed : seedOf(seed, i, compiles));
            ProblemCheck check = ProblemCheck.of(device, problem);
            kinds[check.kind().ordinal()]++;
            if (check.kind() == Kind.WRONG) {
                // where each size is compiled anew, the drawn problem has to do
                RandomProblem smallest = compiles ? problem
                        : ProblemShrinker.shrink(problem, part -> ProblemCheck.of(device, part).kind() == Kind.WRONG);
                listener.accept(new Failure(problem, smallest, check));
            }
        }
        return new RandomVerification(kinds[Kind.RIGHT.ordinal()], kinds[Kind.SAID.ordinal()], kinds[Kind.WRONG.ordinal()]);
    }

    /** Seed of one problem of many. */
    private static long seedOf(long seed, long index, boolean compiles) {
        long layout = RandomProblem.mix(RandomProblem.mix(seed) + (compiles ? index % DISTINCT_WHERE_COMPILED : index));
        long data = RandomProblem.mix(layout + index + 1);
        return (layout >>> 64 - SEED_BITS) << RandomProblem.DATA_BITS | data >>> 64 - RandomProblem.DATA_BITS;
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
            write(folder, "lambda", inputs.ridge());
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
                        : " --ridge-file lambda.npy") + (options.causal() ? "" : " --no-causal") + " --tol " + options.tolerance()
                + " --max-iter " + options.maxIterations() + " --precond " + options.preconditioner().name().toLowerCase(Locale.ROOT)
                + (problem.g() == null ? " --verify" : " --grad g.npy --out-grads gradients");
    }
}
