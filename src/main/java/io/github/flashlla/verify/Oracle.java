package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ExactQuery;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The answer to a problem in float64, query by query. Which keys a query sees, of which head and of which sequence, is written out here once more, as docs/operator.md
 * says it, so that a mistake in what devices and the reference share does not hide itself.
 */
final class Oracle {
    private final RandomProblem problem;
    private final LlaInputs inputs;
    private final AttentionShape shape;

    private Oracle(RandomProblem problem) {
        this.problem = problem;
        this.inputs = problem.rounded();
        this.shape = problem.shape();
    }

    /** Of the inputs as devices round them. Keeps kbar and x. */
    static ProblemAnswer answer(RandomProblem problem) {
        return new Oracle(problem).answer();
    }

    /**
     * Where the keys of one query lie among those of its head.
     *
     * @param count none: 0 or less
     */
    private record Seen(int first, int count) {}

    private Seen seen(int batch, int query) {
        int firstKey = 0;
        int keys = problem.lengths() == null ? shape.keyLength() : problem.lengths()[batch];
        int queries = shape.queryLength();
        int i = query;
        if (problem.sequences() != null) {
            int[] starts = problem.sequences().queryOffsets();
            int[] keyStarts = problem.sequences().keyOffsets();
            int s = 0;
            while (starts[s + 1] <= query) {
                s++;
            }
            i = query - starts[s];
            queries = starts[s + 1] - starts[s];
            firstKey = keyStarts[s];
            keys = keyStarts[s + 1] - firstKey;
        }
        int last = problem.options().causal() ? i + keys - queries : keys - 1;
        int first = problem.options().window() == 0 ? 0 : Math.max(0, last - problem.options().window() + 1);
        return new Seen(firstKey + first, last - first + 1);
    }

    private ProblemAnswer answer() {
        LlaResult result = new LlaResult(shape, DataType.FLOAT64, true);
        LlaGradients gradients = problem.mode().hasGradients() ? new LlaGradients(shape, DataType.FLOAT64) : null;
        Object[] heads = new Object[shape.batch() * shape.kvHeads()];
        Arrays.setAll(heads, head -> new Object());
        if (gradients != null) {
            gradients.dk().fill(0);
            gradients.dv().fill(0);
        }
        Arrays.fill(result.residual(), 0);
        Arrays.fill(result.recurrenceResidual(), 0);
        Arrays.fill(result.roundingError(), 0);
        IntStream.range(0, Math.toIntExact(shape.rows())).parallel().forEach(row -> {
            int head = row / shape.queryLength();
            int batch = head / shape.heads();
            int kvHead = batch * shape.kvHeads() + head % shape.heads() / (shape.heads() / shape.kvHeads());
            Seen seen = seen(batch, row % shape.queryLength());
            if (seen.count <= 0) {
                nothing(row, result, gradients);
                return;
            }
            long firstKey = (long) kvHead * shape.keyLength() + seen.first;
            ExactQuery query = new ExactQuery(row(inputs.q(), row), rows(inputs.k(), firstKey, seen.count), rows(inputs.v(), firstKey, seen.count), shape.valueDim(),
                    problem.options().scaleFor(shape.headDim()), inputs.ridge() == null ? problem.options().ridge() : inputs.ridge().get(row));
            put(query.output(), result.output(), row);
            put(query.kbar(), result.kbar(), row);
            put(query.x(), result.x(), row);
            result.logSumExp().set(row, query.logSumExp());
            if (gradients != null) {
                query.backward(row(problem.g(), row));
                put(query.dq(), gradients.dq(), row);
                gradients.dridge().set(row, query.dridge());
                synchronized (heads[kvHead]) {
                    for (int j = 0; j < seen.count; j++) {
                        double[] dk = new double[shape.headDim()];
                        double[] dv = new double[shape.valueDim()];
                        query.addDk(j, dk);
                        query.addDv(j, dv);
                        add(dk, gradients.dk(), firstKey + j);
                        add(dv, gradients.dv(), firstKey + j);
                    }
                }
            }
        });
        return new ProblemAnswer(result, gradients);
    }

    private void nothing(int row, LlaResult result, LlaGradients gradients) {
        put(new double[shape.valueDim()], result.output(), row);
        put(new double[shape.headDim()], result.kbar(), row);
        put(new double[shape.headDim()], result.x(), row);
        result.logSumExp().set(row, Double.NEGATIVE_INFINITY);
        if (gradients != null) {
            put(new double[shape.headDim()], gradients.dq(), row);
            gradients.dridge().set(row, 0);
        }
    }

    private static double[] row(Tensor tensor, long row) {
        return rows(tensor, row, 1);
    }

    private static double[] rows(Tensor tensor, long first, int count) {
        int width = Math.toIntExact(tensor.dim(3));
        double[] values = new double[count * width];
        for (int i = 0; i < values.length; i++) {
            values[i] = tensor.get(first * width + i);
        }
        return values;
    }

    private static void put(double[] values, Tensor tensor, long row) {
        for (int c = 0; c < values.length; c++) {
            tensor.set(row * values.length + c, values[c]);
        }
    }

    private static void add(double[] values, Tensor tensor, long row) {
        for (int c = 0; c < values.length; c++) {
            tensor.set(row * values.length + c, tensor.get(row * values.length + c) + values[c]);
        }
    }
}
