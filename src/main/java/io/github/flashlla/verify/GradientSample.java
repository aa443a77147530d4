package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ExactQuery;
import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * Gradients held against float64: all of them where that takes seconds, else dq and dridge of a sample of queries.
 *
 * @param error the largest relative error ||found - exact|| / ||exact|| of dq, dk, dv and dridge; NaN if something is not finite. Where all of an
 *     exact one is rounding of a 0, as dq is where all keys are equal, it is relative to 2^-40 of the terms that cancelled
 * @param whole whether dk and dv were held, too: they need every query
 */
public record GradientSample(double error, boolean whole) {
    /** Float64 operations that a check may take. */
    private static final double MOST_WORK = 5e10;
    /** What float64 leaves of a sum whose terms cancel, at most, with room for what solves add. */
    private static final double NOISE = 0x1p-40;

    /** @param queries how many to hold where not all of them can be */
    public static GradientSample of(LlaInputs inputs, LlaOptions options, Tensor gradOutput, LlaGradients found, int queries) {
        return of(inputs, options, gradOutput, Found.of(found), queries);
    }

    /** The same of gradients that were, for example, rounded to be written. */
    public static GradientSample of(LlaInputs inputs, LlaOptions options, Tensor gradOutput, Found found, int queries) {
        AttentionShape shape = inputs.shape();
        int d = shape.headDim();
        int dv = shape.valueDim();
        boolean whole = (double) shape.rows() * shape.keyLength() * d * d <= MOST_WORK;
        long step = whole ? 1 : Math.max(1, shape.rows() / queries);
        Miss dq = new Miss();
        Miss dridge = new Miss();
        double[] dk = new double[whole ? Math.toIntExact(found.dk().size()) : 0];
        double[] dvalues = new double[whole ? Math.toIntExact(found.dv().size()) : 0];
        LongStream.range(0, shape.rows()).filter(row -> row % step == 0)
                .filter(row -> shape.visibleKeys((int) (row % shape.queryLength()), options.causal()) > 0).forEach(row -> {
                    ExactQuery query = new ExactQuery(shape, options, inputs, row);
                    query.backward(ExactQuery.values(gradOutput, row * dv, dv));
                    dq.add(found.dq(), row * d, query.dq());
                    dridge.add(found.dridge(), row, new double[] {query.dridge()});
                    if (whole) {
                        addKeys(shape, options, query, row, dk, dvalues);
                    }
                });
        double start = NOISE * largest(gradOutput);
        double loss = start * largest(inputs.v());
        double scale = Math.abs(options.scaleFor(d));
        double keys = largest(inputs.k());
        double ridge = inputs.ridge() == null ? options.ridge() : smallest(inputs.ridge());
        double slopes = keys * (keys + largest(inputs.q())) / (ridge * ridge); // of u and x, where keys are in small units
        double worst = Math.max(dq.relative(loss * scale * keys), dridge.relative(loss * Math.min(1, slopes))); // Math.max keeps NaN
        if (whole) {
            Miss ofKeys = new Miss();
            ofKeys.add(found.dk(), 0, dk);
            Miss values = new Miss();
            values.add(found.dv(), 0, dvalues);
            worst = Math.max(worst, Math.max(ofKeys.relative(loss * scale * largest(inputs.q())), values.relative(start)));
        }
        return new GradientSample(worst, whole);
    }

    private static double smallest(Tensor tensor) {
        double smallest = Double.POSITIVE_INFINITY;
        for (long i = 0; i < tensor.size(); i++) {
            smallest = Math.min(smallest, Math.abs(tensor.get(i)));
        }
        return smallest;
    }

    private static double largest(Tensor tensor) {
        double largest = 0;
        for (long i = 0; i < tensor.size(); i++) {
            largest = Math.max(largest, Math.abs(tensor.get(i)));
        }
        return largest;
    }

    private static void addKeys(AttentionShape shape, LlaOptions options, ExactQuery query, long row, double[] dk, double[] dvalues) {
        int d = shape.headDim();
        int dv = shape.valueDim();
        long head = row / shape.queryLength();
        long kvHead = head / shape.heads() * shape.kvHeads() + head % shape.heads() / shape.group();
        long first = kvHead * shape.keyLength() + shape.firstKey((int) (row % shape.queryLength()), options);
        double[] key = new double[d];
        double[] value = new double[dv];
        for (int j = 0; query.sees(j); j++) {
            Arrays.fill(key, 0);
            Arrays.fill(value, 0);
            query.addDk(j, key);
            query.addDv(j, value);
            for (int c = 0; c < d; c++) {
                dk[(int) ((first + j) * d + c)] += key[c];
            }
            for (int c = 0; c < dv; c++) {
                dvalues[(int) ((first + j) * dv + c)] += value[c];
            }
        }
    }

    /** Gradients of a whole problem, or views of those of a part; shapes as in {@link LlaGradients}. */
    public record Found(Tensor dq, Tensor dk, Tensor dv, Tensor dridge) {
        public static Found of(LlaGradients gradients) {
            return new Found(gradients.dq(), gradients.dk(), gradients.dv(), gradients.dridge());
        }
    }

    /** Sums of squares of a difference, of what it is relative to, and of the least that elements of such a type can be off. */
    private static final class Miss {
        private double miss;
        private double size;
        private double steps;

        void add(Tensor found, long at, double[] want) {
            double step = halfStep(found.type());
            for (int i = 0; i < want.length; i++) {
                steps += step * step;
                double difference = found.get(at + i) - want[i];
                miss += difference * difference;
                size += want[i] * want[i];
            }
        }

        /** @param least what a smaller size counts as */
        double relative(double least) {
            return miss <= steps ? 0 : Math.sqrt(miss) / Math.max(Math.sqrt(size), least);
        }

        /** What is below float32's range is as right as it can be within half its smallest number; a type of 16 bits is somebody's choice. */
        private static double halfStep(DataType type) {
            return type == DataType.FLOAT32 ? 0x1p-150 : 0;
        }
    }
}
