package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;

/** Makes a problem that fails smaller while it still fails: fewer sequences, heads, queries, keys and dimensions. */
final class ProblemShrinker {
    private static final int MOST_TRIALS = 80;

    private ProblemShrinker() {}

    /** @param fails whether a smaller problem fails as well */
    static RandomProblem shrink(RandomProblem problem, Predicate<RandomProblem> fails) {
        RandomProblem smallest = problem;
        int trials = 0;
        boolean smaller = true;
        while (smaller) {
            smaller = false;
            for (RandomProblem candidate : parts(smallest)) {
                if (trials++ == MOST_TRIALS) {
                    return smallest;
                }
                if (fails.test(candidate)) {
                    smallest = candidate;
                    smaller = true;
                    break;
                }
            }
        }
        return smallest;
    }

    /** Halves along each axis, the largest cuts first. */
    private static List<RandomProblem> parts(RandomProblem problem) {
        AttentionShape shape = problem.shape();
        List<RandomProblem> parts = new ArrayList<>();
        int group = shape.group();
        halves(shape.batch(), (from, to) -> parts.add(cut(problem, new Cut(0, from, to), new Cut(0, from, to))));
        halves(shape.kvHeads(), (from, to) -> parts.add(cut(problem, new Cut(1, from * group, to * group), new Cut(1, from, to))));
        if (shape.kvHeads() == 1) {
            halves(group, (from, to) -> parts.add(cut(problem, new Cut(1, from, to), null)));
        }
        if (problem.lengths() == null && problem.sequences() == null) {
            int ahead = shape.keyLength() - shape.queryLength();
            halves(shape.queryLength(), (from, to) -> {
                // causal queries keep the keys that they see: the last of those left is aligned with the last key
                int keys = problem.options().causal() ? to + ahead : shape.keyLength();
                if (keys >= 1) {
                    parts.add(cut(problem, new Cut(2, from, to), new Cut(2, 0, keys)));
                }
            });
            halves(shape.keyLength(), (from, to) -> {
                if (!problem.options().causal() || to == shape.keyLength()) {
                    parts.add(cut(problem, null, new Cut(2, from, to)));
                }
            });
        }
        halves(shape.headDim(), (from, to) -> parts.add(dims(problem, from, to, 0, shape.valueDim())));
        halves(shape.valueDim(), (from, to) -> parts.add(dims(problem, 0, shape.headDim(), from, to)));
        return parts;
    }

    private record Cut(int axis, int from, int to) {
        Tensor of(Tensor tensor) {
            return tensor == null ? null : Slices.of(tensor, axis, from, to);
        }
    }

    private interface Range {
        void of(int from, int to);
    }

    private static void halves(int length, Range range) {
        if (length > 1) {
            range.of(0, length / 2);
            range.of(length / 2, length);
            range.of(0, length - 1);
            range.of(1, length);
        }
    }

    private static RandomProblem cut(RandomProblem problem, Cut queries, Cut keys) {
        LlaInputs in = problem.inputs();
        Cut all = new Cut(0, 0, (int) in.q().dim(0));
        Cut ofQueries = queries == null ? all : queries;
        Cut ofKeys = keys == null ? all : keys;
        int[] lengths = problem.lengths();
        if (lengths != null && keys != null && keys.axis == 0) {
            lengths = Arrays.copyOfRange(lengths, keys.from, keys.to);
        }
        return problem.with(new LlaInputs(ofQueries.of(in.q()), ofKeys.of(in.k()), ofKeys.of(in.v()), ofQueries.of(in.ridge())),
                ofQueries.of(problem.g()), lengths);
    }

    private static RandomProblem dims(RandomProblem problem, int from, int to, int valueFrom, int valueTo) {
        LlaInputs in = problem.inputs();
        Cut d = new Cut(3, from, to);
        Cut dv = new Cut(3, valueFrom, valueTo);
        return problem.with(new LlaInputs(d.of(in.q()), d.of(in.k()), dv.of(in.v()), in.ridge()), dv.of(problem.g()), problem.lengths());
    }
}
