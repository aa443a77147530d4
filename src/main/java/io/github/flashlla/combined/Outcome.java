package io.github.flashlla.combined;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.QuerySolves;
import io.github.flashlla.Timing;
import java.io.Serializable;
import java.util.List;
import java.util.stream.Stream;

/**
 * What a part says of a pass beyond the tensors that it left.
 *
 * @param pairIterations sum over its pieces
 * @param checkedRows sum over its pieces
 * @param recomputedRows sum over its pieces
 * @param timing its pieces one after the other
 * @param computedBy {@link QuerySolves#computedBy()} of its pieces
 * @param method of a decoding step; null for other passes
 * @param workspaceBytes that it holds now for the piece, for its pieces, or for a decoding step
 */
record Outcome(long pairIterations, int checkedRows, int recomputedRows, Timing timing, List<String> computedBy, DecodeMethod method, long workspaceBytes)
        implements Serializable {
    static final Outcome NOTHING = new Outcome(0, 0, 0, new Timing(0, 0, 0, 0, 0), List.of(), null, 0);

    static Outcome of(QuerySolves solves, DecodeMethod method) {
        return new Outcome(solves.pairIterations(), solves.checkedRows(), solves.recomputedRows(), solves.timing(), List.of(solves.computedBy()), method, 0);
    }

    /** The same with another wall time. */
    Outcome lasting(long wallNanos) {
        return new Outcome(pairIterations, checkedRows, recomputedRows,
                new Timing(wallNanos, timing.kernelNanos(), timing.copyInNanos(), timing.copyOutNanos(), timing.compileNanos()), computedBy, method,
                workspaceBytes);
    }

    /** The same with another workspace. */
    Outcome holding(long bytes) {
        return new Outcome(pairIterations, checkedRows, recomputedRows, timing, computedBy, method, bytes);
    }

    /** Of pieces that a part computed one after the other. */
    Outcome then(Outcome other) {
        return with(other, timing.plus(other.timing));
    }

    /** Of parts that computed at the same time. */
    Outcome beside(Outcome other) {
        return with(other, new Timing(longer(timing.wallNanos(), other.timing.wallNanos()),
                longer(timing.kernelNanos(), other.timing.kernelNanos()), longer(timing.copyInNanos(), other.timing.copyInNanos()),
                longer(timing.copyOutNanos(), other.timing.copyOutNanos()), longer(timing.compileNanos(), other.timing.compileNanos())));
    }

    private Outcome with(Outcome other, Timing time) {
        return new Outcome(pairIterations + other.pairIterations, checkedRows + other.checkedRows, recomputedRows + other.recomputedRows,
                time,
                Stream.concat(computedBy.stream(), other.computedBy.stream()).distinct().toList(),
                method == null ? other.method : method, workspaceBytes + other.workspaceBytes);
    }

    private static long longer(long a, long b) {
        return a < 0 || b < 0 ? -1 : Math.max(a, b);
    }

    /** Tells a result of the whole problem, which took {@code wallNanos}. */
    void tell(QuerySolves solves, long wallNanos) {
        solves.setPairIterations(pairIterations);
        solves.setCheckedRows(checkedRows);
        solves.setRecomputedRows(recomputedRows);
        solves.setComputedBy("");
        computedBy.forEach(solves::addComputedBy);
        solves.setTiming(new Timing(wallNanos, timing.kernelNanos(), timing.copyInNanos(), timing.copyOutNanos(), timing.compileNanos()));
    }
}
