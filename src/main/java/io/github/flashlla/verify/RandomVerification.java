package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.verify.ProblemCheck.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.PrimitiveIterator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Random problems of every kind on one device against float64.
 *
 * @param right within the bar
 * @param said beyond it, and the result says so; or refused with a sentence
 * @param wrong beyond it without a word
 * @param answers to problems of each hard case, those refused left out
 */
public record RandomVerification(long right, long said, long wrong, Map<String, Integer> answers) {
    /** Before the first problem. */
    public static final RandomVerification NONE = new RandomVerification(0, 0, 0, noAnswers());

    private static final int LINE = 150;
    private static final int SEED_BITS = 30;
    /** A problem's plan, and its twin's. */
    private static final int OPEN_PLANS = 2;

    /** A problem that is wrong, made as small as it stays wrong. */
    public record Failure(RandomProblem drawn, RandomProblem smallest, ProblemCheck check) {}

    /** How problems are drawn: every other one is of a {@link HardCase}, by turns, the others as chance has it. */
    public enum Drawing {
        /** Each has sizes and options of its own, and what is wrong is made smaller. */
        ALL_DIFFERENT,
        /**
         * For a device that compiles anew for each pair of head dims: hard cases have few, and those of the same dims follow one another, each case once before any
         * comes again. The others are last: several of the same sizes follow one another.
         */
        FEW_SHAPES;

        private static final int SHAPES = 20;
        /** Turns of hard cases that share head dims. */
        private static final int TURNS = 4;
        /** One in so many other layouts is strained: small ridges and few keys come together too seldom by chance. */
        private static final int EACH = 3;

        /** Seeds of all problems, in the order in which they come. */
        LongStream seeds(long seed, long count) {
            if (count == 1) {
                return LongStream.of(seed); // repeats a problem
            }
            if (this == ALL_DIFFERENT) {
                return LongStream.range(0, count).map(i -> i % 2 == 0 ? hard(seed, i / 2) : other(seed, i / 2, count / 2));
            }
            int cases = HardCase.values().length;
            long hard = Math.ceilDiv(count, 2);
            LongStream inTurns = LongStream.range(0, Math.ceilDiv(hard, cases)).flatMap(turn -> byDims(LongStream.range(turn * cases, Math.min(hard, (turn + 1) * cases))
                    .map(i -> hard(seed, i))));
            return LongStream.concat(inTurns, LongStream.range(0, count - hard).map(i -> other(seed, i, count - hard)));
        }

        /** Those of the most frequent head dims first. */
        private static LongStream byDims(LongStream seeds) {
            Map<List<Integer>, List<Long>> groups = seeds.boxed().collect(Collectors.groupingBy(seed -> {
                AttentionShape shape = RandomProblem.draft(seed).shape;
                return List.of(shape.headDim(), shape.valueDim());
            }, LinkedHashMap::new, Collectors.toList()));
            return groups.values().stream().sorted(Comparator.comparingInt(group -> -group.size())).flatMap(List::stream).mapToLong(Long::longValue);
        }

        private long hard(long seed, long index) {
            HardCase[] all = HardCase.values();
            long own = RandomProblem.mix(RandomProblem.mix(seed) + index);
            long dims = this == ALL_DIFFERENT ? own : RandomProblem.mix(seed) + index / all.length / TURNS;
            return all[(int) (index % all.length)].seed(RandomProblem.mix(dims), own, own >>> SEED_BITS);
        }

        private long other(long seed, long index, long count) {
            long number = this == ALL_DIFFERENT ? index : index * Math.min(SHAPES, count) / count;
            long layout = RandomProblem.mix(RandomProblem.mix(~seed) + number);
            long data = RandomProblem.mix(layout + index + 1);
            return (number % EACH == EACH - 1 ? RandomProblem.STRAINED : 0) | (layout >>> 64 - SEED_BITS) << RandomProblem.DATA_BITS
                    | data >>> 64 - RandomProblem.DATA_BITS;
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
        RandomVerification soFar = NONE;
        try (ProblemPlans plans = new ProblemPlans(device, drawing == Drawing.FEW_SHAPES ? OPEN_PLANS : 0)) {
            PrimitiveIterator.OfLong seeds = drawing.seeds(seed, count).iterator();
            while (seeds.hasNext() && System.nanoTime() < end) {
                RandomProblem problem = RandomProblem.draw(seeds.nextLong());
                ProblemCheck check = ProblemCheck.of(plans, problem);
                soFar = soFar.plus(problem, check);
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

    private static Map<String, Integer> noAnswers() {
        Map<String, Integer> none = new LinkedHashMap<>();
        Arrays.stream(HardCase.values()).forEach(hard -> none.put(hard.toString(), 0));
        return none;
    }

    private RandomVerification plus(RandomProblem problem, ProblemCheck check) {
        Kind kind = check.kind();
        Map<String, Integer> more = new LinkedHashMap<>(answers);
        HardCase hard = HardCase.of(problem.seed());
        if (hard != null && check.isAnswer()) {
            more.merge(hard.toString(), 1, Integer::sum);
        }
        return new RandomVerification(right + (kind == Kind.RIGHT ? 1 : 0), said + (kind == Kind.SAID ? 1 : 0), wrong + (kind == Kind.WRONG ? 1 : 0), more);
    }

    /** Which hard cases there were how often, and which ones had no answer, in lines. */
    public List<String> coverage() {
        List<String> had = answers.entrySet().stream().filter(one -> one.getValue() > 0).map(one -> one.getKey() + " " + one.getValue()).toList();
        List<String> none = answers.entrySet().stream().filter(one -> one.getValue() == 0).map(Map.Entry::getKey).toList();
        List<String> lines = new ArrayList<>();
        lines.add(had.size() + " of " + answers.size() + " hard cases answered" + (had.isEmpty() ? "" : ":"));
        addLines(lines, had);
        if (!none.isEmpty()) {
            lines.add("not answered:");
            addLines(lines, none);
        }
        return lines;
    }

    private static void addLines(List<String> lines, List<String> parts) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < parts.size(); i++) {
            line.append(i == 0 ? "" : ", ").append(parts.get(i));
            if (line.length() > LINE && i + 1 < parts.size()) {
                lines.add(line.append(',').toString().strip().replaceFirst("^, ", ""));
                line.setLength(0);
            }
        }
        if (!line.isEmpty()) {
            lines.add(line.toString().replaceFirst("^, ", ""));
        }
    }

    public long problems() {
        return right + said + wrong;
    }

    /** The counts on one line. */
    public String summary(long seed) {
        return Numbers.count(problems(), "problem") + ": " + right + " right, " + said + " said to be inexact, " + wrong + " wrong, seed " + seed;
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
                        : " --ridge-file ridge.npy") + (options.causal() ? "" : " --no-causal")
                + (options.window() == 0 ? "" : " --window " + options.window()) + packed(problem.sequences()) + " --tol " + options.tolerance()
                + " --max-iter " + options.maxIterations() + " --precond " + options.preconditioner().name().toLowerCase(Locale.ROOT)
                + (problem.g() == null ? " --verify" : " --grad g.npy --out-grads gradients");
    }

    private static String packed(Sequences sequences) {
        return sequences == null ? "" : " --seqlens " + lengths(sequences.queryOffsets()) + " --key-seqlens " + lengths(sequences.keyOffsets());
    }

    private static String lengths(int[] offsets) {
        return IntStream.range(1, offsets.length).mapToObj(s -> Integer.toString(offsets[s] - offsets[s - 1])).collect(Collectors.joining(","));
    }
}
