package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ExactQuery;
import java.util.stream.LongStream;

/** Errors as ||found - want|| / ||want||, over whole tensors or sampled queries; NaN wherever anything found is not finite. */
public final class Accuracy {
    /** A norm below this is rounding noise of a quantity that is 0: errors are then absolute. */
    private static final double NOISE = 1e-12;

    private Accuracy() {}

    /** Relative error over two tensors of one size. */
    public static double relativeError(Tensor found, Tensor want) {
        if (found.size() != want.size()) {
            throw new InvalidInputException("a result of shape " + Tensor.shapeString(found.dims())
                    + " cannot be held against one of shape " + Tensor.shapeString(want.dims()));
        }
        double miss = 0;
        double size = 0;
        for (long i = 0; i < want.size(); i++) {
            double difference = found.get(i) - want.get(i);
            miss += difference * difference;
            size += want.get(i) * want.get(i);
        }
        return ratio(miss, size);
    }

    /** Up to {@code most} of {@code all} rows, evenly spread from first to last. */
    public static long[] sampledRows(long all, int most) {
        int count = (int) Math.min(most, all);
        return LongStream.range(0, count).map(i -> count == 1 ? 0 : i * (all - 1) / (count - 1)).toArray();
    }

    /**
     * Error of the output at up to {@code queries} queries, evenly spread from first to last, against float64.
     *
     * @return the error, and how many queries it was taken over
     */
    public static Sample sampledError(LlaInputs inputs, LlaOptions options, LlaResult result, int queries) {
        return sampledError(inputs, options, result.output(), queries);
    }

    /**
     * The same of an output that need not be a result's, such as one that was rounded to be written.
     *
     * @param output o (B,H,Sq,Dv), or a view of such rows
     */
    public static Sample sampledError(LlaInputs inputs, LlaOptions options, Tensor output, int queries) {
        AttentionShape shape = inputs.shape();
        int dv = shape.valueDim();
        long[] rows = sampledRows(shape.rows(), queries);
        double[][] sums = LongStream.of(rows).parallel().mapToObj(row -> {
            double[] want = new double[dv];
            if (shape.visibleKeys((int) (row % shape.queryLength()), options.causal()) > 0) {
                want = new ExactQuery(shape, options, inputs, row).output();
            }
            double[] sum = new double[2];
            for (int c = 0; c < dv; c++) {
                double difference = output.get(row * dv + c) - want[c];
                sum[0] += difference * difference;
                sum[1] += want[c] * want[c];
            }
            return sum;
        }).toArray(double[][]::new);
        double miss = 0;
        double size = 0;
        for (double[] sum : sums) {
            miss += sum[0];
            size += sum[1];
        }
        return new Sample(ratio(miss, size), rows.length);
    }

    private static double ratio(double miss, double size) {
        if (!Double.isFinite(miss)) {
            return Double.NaN;
        }
        return Math.sqrt(size) < NOISE ? Math.sqrt(miss) : Math.sqrt(miss / size);
    }

    /** @param error relative error over {@code queries} queries */
    public record Sample(double error, int queries) {}
}
