package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.record.Measurement.AccuracyCheck;
import io.github.flashlla.reference.ExactQuery;
import io.github.flashlla.verify.Accuracy;
import java.util.stream.IntStream;

/**
 * Float64 answers of a sample of queries, which every run's answer is compared with; for backward their gradients too, and
 * those of a sample of keys.
 */
final class AnswerCheck {
    private static final int QUERIES = 48;
    /** LLA is softmax attention at an infinite ridge; at this one in float64 to every digit. */
    private static final double SOFTMAX_RIDGE = 1e100;

    private final Task task;
    private final long[] rows;
    /** o of the sampled rows. */
    private final double[][] output;
    private final GradientCheck gradients;

    private AnswerCheck(Task task, long[] rows, double[][] output, GradientCheck gradients) {
        this.task = task;
        this.rows = rows;
        this.output = output;
        this.gradients = gradients;
    }

    /**
     * Computes the sample's answers.
     *
     * @param gradOutput dL/do, or null without a backward pass
     */
    static AnswerCheck of(Task task, LlaInputs inputs, Tensor gradOutput) {
        long[] rows = Accuracy.sampledRows(task.shape().rows(), QUERIES);
        LlaOptions options = task.operator() == Operator.LLA ? task.options() : task.options().withRidge(SOFTMAX_RIDGE);
        double[][] output = new double[rows.length][];
        double[][] dq = new double[rows.length][];
        double[][] dridge = new double[rows.length][];
        int atOnce = (int) Math.clamp(Runtime.getRuntime().maxMemory() / 2 / queryBytes(task), 1, rows.length);
        for (int from = 0; from < rows.length; from += atOnce) {
            IntStream.range(from, Math.min(from + atOnce, rows.length)).parallel().forEach(n -> {
                ExactQuery query = new ExactQuery(task.shape(), options, inputs, rows[n]);
                output[n] = query.output();
                if (gradOutput != null) {
                    query.backward(GradientCheck.gradient(task.shape(), gradOutput, rows[n]));
                    dq[n] = query.dq();
                    dridge[n] = new double[] {query.dridge()};
                }
            });
        }
        return new AnswerCheck(task, rows, output, gradOutput == null ? null : GradientCheck.of(task, inputs, gradOutput, rows, dq, dridge));
    }

    /** Bytes of heap that the answer of the query with the most keys takes. */
    static double queryBytes(Task task) {
        AttentionShape shape = task.shape();
        return ExactQuery.bytes(shape.seenKeys(shape.queryLength() - 1, task.options()), shape.headDim(), shape.valueDim());
    }

    /** @param found the gradients, or null without a backward pass */
    AccuracyCheck of(LlaResult result, LlaGradients found) {
        double error = relativeError(result.output(), rows, output);
        if (gradients != null) {
            error = Math.max(error, gradients.worstError(found)); // Math.max keeps NaN
        }
        return new AccuracyCheck(Double.isFinite(error) ? error : null, bar(), rows.length);
    }

    private double bar() {
        // a cache rounds what it stores, which the inputs are already, and computes in float32
        boolean rounded = task.options().precision() == DataType.FLOAT16;
        double floor = !rounded && (task.dataType() == DataType.FLOAT32 || task.mode() == Mode.DECODE) ? 1e-4 : 5e-3;
        // a gradient stands on two solves, and the second one's error is relative to c, of which u is a part only
        return Math.max(floor, (task.mode().hasBackward() ? 10 : 3) * task.options().tolerance());
    }

    /** ||found - want|| / ||want|| over the given rows of a tensor whose last dimension a row is. */
    static double relativeError(Tensor found, long[] rows, double[][] want) {
        double miss = 0;
        double size = 0;
        for (int i = 0; i < rows.length; i++) {
            int width = want[i].length;
            for (int c = 0; c < width; c++) {
                double difference = found.get(rows[i] * width + c) - want[i][c];
                miss += difference * difference;
                size += want[i][c] * want[i][c];
            }
        }
        return size == 0 ? Math.sqrt(miss) : Math.sqrt(miss / size);
    }
}
