package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.BitSet;
import java.util.stream.IntStream;

/** Computes some queries of a problem in float64 on the host, within a bound on work, and writes them over the device's. */
final class DoubleRows {
    /** Floating-point operations that float64 may take: some seconds on two cores. What is beyond is only reported. */
    static final long MOST_WORK = 40_000_000_000L;

    private final AttentionShape shape;
    private final LlaInputs inputs;
    private final LlaOptions options;

    DoubleRows(LlaInputs inputs, LlaOptions options) {
        this.shape = inputs.shape();
        this.inputs = inputs;
        this.options = options;
    }

    /** The first of {@code rows} that the bound on work allows. */
    BitSet affordable(BitSet rows) {
        BitSet chosen = new BitSet();
        long work = 0;
        for (int row = rows.nextSetBit(0); row >= 0; row = rows.nextSetBit(row + 1)) {
            work += DoubleRow.work(visible(row), shape.headDim());
            if (work > MOST_WORK) {
                break;
            }
            chosen.set(row);
        }
        return chosen;
    }

    private int visible(int row) {
        return shape.visibleKeys(row % shape.queryLength(), options.causal());
    }

    private int kvHead(int row) {
        int head = row / shape.queryLength();
        return head / shape.heads() * shape.kvHeads() + head % shape.heads() / shape.group();
    }

    private double ridge(int row) {
        return inputs.ridge() == null ? options.ridge() : (float) inputs.ridge().get(row);
    }

    private interface RowTask {
        void run(DoubleRow row, int index, double[] q, double[] k, double[] v);
    }

    /** Key/value heads side by side, or one head's rows where there is but one; {@code inOrder} keeps a head's rows in order. */
    private void forEach(BitSet rows, boolean inOrder, RowTask task) {
        int heads = shape.batch() * shape.kvHeads();
        IntStream stream = IntStream.range(0, heads);
        (heads > 1 ? stream.parallel() : stream).forEach(kvHead -> {
            int[] own = rows.stream().filter(row -> kvHead(row) == kvHead).toArray();
            int most = 0;
            for (int row : own) {
                most = Math.max(most, visible(row));
            }
            double[] k = values(inputs.k(), (long) kvHead * shape.keyLength() * shape.headDim(), most * shape.headDim());
            double[] v = values(inputs.v(), (long) kvHead * shape.keyLength() * shape.valueDim(), most * shape.valueDim());
            ThreadLocal<DoubleRow> scratch = ThreadLocal.withInitial(
                    () -> new DoubleRow(shape.headDim(), shape.valueDim(), options.scaleFor(shape.headDim())));
            IntStream indices = IntStream.of(own);
            (inOrder || heads > 1 ? indices : indices.parallel()).forEach(row -> {
                double[] q = values(inputs.q(), (long) row * shape.headDim(), shape.headDim());
                DoubleRow found = scratch.get();
                found.solve(q, k, v, visible(row), ridge(row));
                task.run(found, row, q, k, v);
            });
        });
    }

    void forward(BitSet rows, LlaResult result) {
        forEach(rows, false, (row, index, q, k, v) -> write(row, index, shape, result));
        result.setRecomputedRows(rows.cardinality());
    }

    /** Writes what {@code row} found as query {@code index} of a result. */
    static void write(DoubleRow row, int index, AttentionShape shape, LlaResult result) {
        double[] o = new double[shape.valueDim()];
        row.output(o);
        store(result.output(), (long) index * o.length, o);
        result.logSumExp().set(index, row.logSumExp);
        result.residual()[index] = (float) row.residual;
        result.recurrenceResidual()[index] = (float) row.residual;
        double norm = 0;
        for (double value : o) {
            norm += value * value;
        }
        result.roundingError()[index] = (float) ((0x1p-24 + row.rounding) * Math.sqrt(norm));
        if (result.keepsState()) {
            store(result.kbar(), (long) index * shape.headDim(), row.kbar);
            store(result.x(), (long) index * shape.headDim(), row.x);
        }
    }

    /** Writes dq and dridge of {@code rows}, and adds their part to dk and dv, which lack it. */
    void backward(BitSet rows, Tensor gradOutput, LlaGradients gradients) {
        int heads = shape.batch() * shape.kvHeads();
        double[][] dk = new double[heads][];
        double[][] dv = new double[heads][];
        forEach(rows, true, (row, index, q, k, v) -> {
            int kvHead = kvHead(index);
            if (dk[kvHead] == null) {
                dk[kvHead] = new double[k.length];
                dv[kvHead] = new double[v.length];
            }
            double[] dq = new double[shape.headDim()];
            double[] g = values(gradOutput, (long) index * shape.valueDim(), shape.valueDim());
            gradients.dridge().set(index, row.backward(g, dq, dk[kvHead], dv[kvHead]));
            store(gradients.dq(), (long) index * dq.length, dq);
            gradients.residual()[index] = (float) row.secondResidual;
            gradients.recurrenceResidual()[index] = (float) row.secondResidual;
        });
        for (int head = 0; head < heads; head++) {
            if (dk[head] != null) {
                add(gradients.dk(), (long) head * shape.keyLength() * shape.headDim(), dk[head]);
                add(gradients.dv(), (long) head * shape.keyLength() * shape.valueDim(), dv[head]);
            }
        }
        gradients.setRecomputedRows(rows.cardinality());
    }

    /** {@code gradOutput} with 0 in {@code rows}: all that they would add is then 0. */
    Tensor without(BitSet rows, Tensor gradOutput) {
        Tensor copy = Tensor.of(gradOutput.toFloatArray(), gradOutput.dims()).as(DataType.FLOAT32);
        rows.stream().forEach(row -> {
            for (int c = 0; c < shape.valueDim(); c++) {
                copy.set((long) row * shape.valueDim() + c, 0);
            }
        });
        return copy;
    }

    static double[] values(Tensor tensor, long from, int count) {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) tensor.get(from + i); // as every device reads it
        }
        return values;
    }

    private static void store(Tensor tensor, long at, double[] values) {
        for (int i = 0; i < values.length; i++) {
            tensor.set(at + i, values[i]);
        }
    }

    private static void add(Tensor tensor, long at, double[] values) {
        for (int i = 0; i < values.length; i++) {
            tensor.set(at + i, tensor.get(at + i) + values[i]);
        }
    }
}
