package io.github.flashlla.spark;

import io.github.flashlla.LlaResult;
import io.github.flashlla.SolveState;
import java.io.Serializable;

/**
 * What a task says of its shard; the tensors stay where it left them.
 *
 * @param queries how many it solved
 * @param unsolved those that did not reach the tolerance
 * @param worstResidual largest ||A x - b|| / ||b||
 * @param maxIterations most that a query took
 */
public record ShardSummary(long queries, long unsolved, double worstResidual, int maxIterations) implements Serializable {

    static ShardSummary of(LlaResult result, double tolerance) {
        return new ShardSummary(result.shape().rows(), result.count(SolveState.UNSOLVED, tolerance), result.worstResidual(), result.maxIterations());
    }

    /** Of both. */
    public ShardSummary plus(ShardSummary other) {
        return new ShardSummary(queries + other.queries, unsolved + other.unsolved, Math.max(worstResidual, other.worstResidual),
                Math.max(maxIterations, other.maxIterations));
    }
}
