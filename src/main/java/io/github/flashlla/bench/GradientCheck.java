package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ExactQuery;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Float64 gradients of a sample: dq and dridge of the sampled queries, dk and dv of sampled keys. A key's gradient needs
 * every query that sees it, so with causal masking the last keys of a head are sampled, else keys all over one head.
 */
final class GradientCheck {
    /** With causal masking, of each of the first and the last head. */
    private static final int KEYS = 24;

    /** Flops of the check beyond which a problem without causal masking is too large to be checked. */
    private static final double MAX_FLOPS = 2e11;

    private final long[] rows;
    private final double[][] dq;
    private final double[][] dridge;
    private final long[] keys;
    private final double[][] dk;
    private final double[][] dv;

    private GradientCheck(long[] rows, double[][] dq, double[][] dridge, long[] keys, double[][] dk, double[][] dv) {
        this.rows = rows;
        this.dq = dq;
        this.dridge = dridge;
        this.keys = keys;
        this.dk = dk;
        this.dv = dv;
    }

    /**
     * @param dq of the sampled rows
     * @param dridge of the sampled rows, one number each
     */
    static GradientCheck of(Task task, LlaInputs inputs, Tensor gradOutput, long[] rows, double[][] dq, double[][] dridge) {
        AttentionShape shape = task.shape();
        int kvHeads = shape.batch() * shape.kvHeads();
        int[] heads = kvHeads == 1 || !task.options().causal() ? new int[] {kvHeads - 1} : new int[] {0, kvHeads - 1};
        int[] positions = positions(task);
        long[] keys = new long[heads.length * positions.length];
        double[][] dk = new double[keys.length][shape.headDim()];
        double[][] dv = new double[keys.length][shape.valueDim()];
        for (int h = 0; h < heads.length; h++) {
            for (int j = 0; j < positions.length; j++) {
                keys[h * positions.length + j] = (long) heads[h] * shape.keyLength() + positions[j];
            }
            addKeys(task, inputs, gradOutput, heads[h], positions, dk, dv, h * positions.length);
        }
        return new GradientCheck(rows, dq, dridge, keys, dk, dv);
    }

    /** Sampled positions within a head. */
    private static int[] positions(Task task) {
        int length = task.shape().keyLength();
        int count = Math.min(KEYS, length);
        if (task.options().causal()) {
            return IntStream.range(length - count, length).toArray();
        }
        double flops = 2.0 * task.shape().group() * task.shape().queryLength() * length * task.shape().headDim()
                * task.shape().headDim();
        if (flops > MAX_FLOPS) {
            throw new UnsupportedOperationException("a backward pass without causal masking of this size is too large "
                    + "to be checked against float64, so it is not timed; use a shorter sequence");
        }
        return IntStream.range(0, count).map(i -> (int) ((long) i * (length - 1) / Math.max(1, count - 1))).toArray();
    }

    /** Sums the parts of all queries that see the sampled keys of one key/value head. */
    private static void addKeys(Task task, LlaInputs inputs, Tensor gradOutput, int kvHead, int[] positions,
            double[][] dk, double[][] dv, int at) {
        AttentionShape shape = task.shape();
        long firstHead = (long) (kvHead / shape.kvHeads()) * shape.heads() + (long) kvHead % shape.kvHeads()
                * shape.group();
        LongStream seeing = LongStream.range(firstHead * shape.queryLength(),
                (firstHead + shape.group()) * shape.queryLength()).filter(row -> shape.visibleKeys(
                        (int) (row % shape.queryLength()), task.options().causal()) > positions[0]);
        seeing.parallel().mapToObj(row -> {
            ExactQuery query = new ExactQuery(shape, task.options(), inputs, row);
            query.backward(gradient(shape, gradOutput, row));
            return query;
        }).forEachOrdered(query -> {
            for (int j = 0; j < positions.length; j++) {
                if (query.sees(positions[j])) {
                    query.addDk(positions[j], dk[at + j]);
                    query.addDv(positions[j], dv[at + j]);
                }
            }
        });
    }

    static double[] gradient(AttentionShape shape, Tensor gradOutput, long row) {
        return ExactQuery.values(gradOutput, row * shape.valueDim(), shape.valueDim());
    }

    /** The largest relative error of dq, dridge, dk and dv; NaN if one is not finite. */
    double worstError(LlaGradients found) {
        double worst = AnswerCheck.relativeError(found.dq(), rows, dq);
        worst = Math.max(worst, AnswerCheck.relativeError(found.dridge(), rows, dridge));
        worst = Math.max(worst, AnswerCheck.relativeError(found.dk(), keys, dk));
        return Math.max(worst, AnswerCheck.relativeError(found.dv(), keys, dv));
    }
}
