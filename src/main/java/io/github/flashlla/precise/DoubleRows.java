package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import java.util.BitSet;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntToLongFunction;
import java.util.stream.IntStream;

/** Computes some queries of a problem in float64 on the host, within a bound on work, and writes them over the device's. */
final class DoubleRows {
    /** Floating-point operations that float64 may take: some seconds on two cores. What is beyond is only reported. */
    static final long MOST_WORK = 40_000_000_000L;

    /** Largest relative error of dridge about which nothing is said. */
    private static final double DRIDGE_BAR = 1e-3;

    private final AttentionShape shape;
    private final LlaInputs inputs;
    private final LlaOptions options;
    private final Ridges ridges;
    private final ThreadLocal<Scratch> scratch;

    /** One thread's memory, which a plan keeps from run to run. */
    static final class Scratch {
        final DoubleRow row;
        double[] k = new double[0];
        double[] v = new double[0];
        double[] dk = new double[0];
        double[] dv = new double[0];

        Scratch(DoubleRow row) {
            this.row = row;
        }
    }

    static ThreadLocal<Scratch> scratch(AttentionShape shape, LlaOptions options) {
        return ThreadLocal.withInitial(
                () -> new Scratch(new DoubleRow(shape.headDim(), shape.valueDim(), options.scaleFor(shape.headDim()))));
    }

    DoubleRows(LlaInputs inputs, LlaOptions options, ThreadLocal<Scratch> scratch) {
        this.scratch = scratch;
        this.shape = inputs.shape();
        this.inputs = inputs;
        this.options = options;
        this.ridges = Ridges.of(inputs, options);
    }

    /** The first of {@code rows} that the bound on work allows to solve. */
    BitSet affordable(BitSet rows) {
        return affordable(rows, row -> DoubleRow.work(visible(row), shape.headDim()));
    }

    private static BitSet affordable(BitSet rows, IntToLongFunction cost) {
        BitSet chosen = new BitSet();
        long work = 0;
        for (int row = rows.nextSetBit(0); row >= 0; row = rows.nextSetBit(row + 1)) {
            work += cost.applyAsLong(row);
            if (work > MOST_WORK) {
                break;
            }
            chosen.set(row);
        }
        return chosen;
    }

    private int visible(int row) {
        return shape.seenKeys(row % shape.queryLength(), options);
    }

    private int first(int row) {
        return shape.firstKey(row % shape.queryLength(), options);
    }

    private interface RowTask {
        /**
         * @param k keys that the query sees, from position 0
         * @param v their values
         */
        void run(double[] q, DoubleRow row, int index, double[] k, double[] v, Scratch head);
    }

    private interface HeadTask {
        void run(int kvHead, int keys, Scratch head);
    }

    /** Key/value heads side by side, or one head's rows where there is but one and they may be out of order. */
    private void forEach(BitSet rows, boolean inOrder, HeadTask before, RowTask task, HeadTask after) {
        if (rows.isEmpty()) {
            return;
        }
        int heads = shape.batch() * shape.kvHeads();
        long work = rows.stream().mapToLong(row -> DoubleRow.work(visible(row), shape.headDim())).sum();
        Magnitude.indices(heads, work).forEach(kvHead -> {
            int[] own = rows.stream().filter(row -> shape.kvHeadOf(row) == kvHead).toArray();
            if (own.length == 0) {
                return;
            }
            int most = 0;
            for (int row : own) {
                most = Math.max(most, first(row) + visible(row));
            }
            Scratch head = scratch.get();
            head.k = values(inputs.k(), (long) kvHead * shape.keyLength() * shape.headDim(), most * shape.headDim(), head.k);
            head.v = values(inputs.v(), (long) kvHead * shape.keyLength() * shape.valueDim(), most * shape.valueDim(), head.v);
            before.run(kvHead, most, head);
            IntStream indices = IntStream.of(own);
            (inOrder || heads > 1 ? indices : indices.parallel()).forEach(row -> {
                double[] q = values(inputs.q(), (long) row * shape.headDim(), shape.headDim());
                int first = first(row);
                task.run(q, scratch.get().row, row, from(head.k, first, visible(row), shape.headDim()), from(head.v, first, visible(row),
                        shape.valueDim()), head);
            });
            after.run(kvHead, most, head);
        });
    }

    /** Rows {@code first} and on, of which a window makes a copy. */
    private static double[] from(double[] rows, int first, int count, int width) {
        return first == 0 ? rows : Arrays.copyOfRange(rows, first * width, (first + count) * width);
    }

    /** Receives what a check found of one query. */
    interface Verdict {
        /** Whether the query may keep float32's x. */
        boolean holds(int index, DoubleRow row);
    }

    /**
     * Holds float32's solutions of {@code rows} against float64. Those that hold get their true residual, and the output that
     * their x gives in float64.
     *
     * @param kept their solutions, in units of 2^{@code exponent}; may be null where there are no rows
     * @return rows that do not hold, with their true residual; what the bound on work leaves out is not among them
     */
    BitSet check(BitSet rows, KeptState kept, int exponent, LlaResult result, Verdict verdict) {
        BitSet checked = affordable(rows, row -> DoubleRow.checkWork(visible(row), shape.headDim(), shape.valueDim()));
        BitSet failed = new BitSet();
        forEach(checked, false, (kvHead, keys, head) -> {}, (q, row, index, k, v, head) -> {
            double[] found = values(kept.x(), (long) index * shape.headDim(), shape.headDim());
            for (int c = 0; c < found.length; c++) {
                found[c] = Math.scalb(found[c], exponent);
            }
            row.check(q, k, v, visible(index), ridges.of(index), found);
            if (verdict.holds(index, row)) {
                writeChecked(row, index, shape, result);
            } else {
                result.residual()[index] = (float) row.residual;
                synchronized (failed) {
                    failed.set(index);
                }
            }
        }, (kvHead, keys, head) -> {});
        result.setCheckedRows(checked.cardinality() - failed.cardinality());
        return failed;
    }

    void forward(BitSet rows, LlaResult result) {
        forEach(rows, false, (kvHead, keys, head) -> {}, (q, row, index, k, v, head) -> {
            row.solve(q, k, v, visible(index), ridges.of(index));
            write(row, index, shape, result);
        }, (kvHead, keys, head) -> {});
        result.setRecomputedRows(rows.cardinality());
    }

    /** Writes the output of {@code row}, and how far it can be trusted; weights and x stay as the device has them. */
    static void writeChecked(DoubleRow row, int index, AttentionShape shape, LlaResult result) {
        double[] o = new double[shape.valueDim()];
        row.output(o);
        store(result.output(), (long) index * o.length, o);
        result.residual()[index] = (float) row.residual;
        double rounded = row.solveError == 0 ? 0 : Math.max(0, 1 - result.recurrenceResidual()[index] / row.residual);
        result.roundingError()[index] = (float) (row.roundingError(o) + rounded * row.solveError);
    }

    /** Writes what {@code row} found as query {@code index} of a result. */
    static void write(DoubleRow row, int index, AttentionShape shape, LlaResult result) {
        writeChecked(row, index, shape, result);
        result.recurrenceResidual()[index] = (float) row.residual;
        result.logSumExp().set(index, row.logSumExp);
        if (result.keepsState()) {
            store(result.kbar(), (long) index * shape.headDim(), row.kbar);
            store(result.x(), (long) index * shape.headDim(), row.x);
        }
    }

    /**
     * Writes dq and dridge of {@code rows}, and adds their part to dk and dv, which lack it.
     *
     * @return whether all that was written is finite
     */
    boolean backward(BitSet rows, Tensor gradOutput, LlaGradients gradients) {
        AtomicBoolean finite = new AtomicBoolean(true);
        forEach(rows, true, (kvHead, keys, head) -> {
            head.dk = cleared(head.dk, keys * shape.headDim());
            head.dv = cleared(head.dv, keys * shape.valueDim());
        }, (q, row, index, k, v, head) -> {
            row.solve(q, k, v, visible(index), ridges.of(index));
            double[] dq = new double[shape.headDim()];
            double[] g = values(gradOutput, (long) index * shape.valueDim(), shape.valueDim());
            int first = first(index);
            double[] dk = first == 0 ? head.dk : new double[visible(index) * dq.length];
            double[] dv = first == 0 ? head.dv : new double[visible(index) * g.length];
            gradients.dridge().set(index, row.backward(g, dq, dk, dv));
            if (first > 0) {
                add(dk, head.dk, first * dq.length);
                add(dv, head.dv, first * g.length);
            }
            store(gradients.dq(), (long) index * dq.length, dq);
            if (!finite(dq) || !Double.isFinite(gradients.dridge().get(index))) {
                finite.set(false);
            }
            gradients.residual()[index] = (float) (row.dridgeError > DRIDGE_BAR ? Math.max(row.dridgeError, row.secondResidual) : row.secondResidual);
            gradients.recurrenceResidual()[index] = (float) row.secondResidual;
        }, (kvHead, keys, head) -> {
            boolean keysFinite = add(gradients.dk(), (long) kvHead * shape.keyLength() * shape.headDim(), head.dk, keys * shape.headDim());
            if (!add(gradients.dv(), (long) kvHead * shape.keyLength() * shape.valueDim(), head.dv, keys * shape.valueDim()) || !keysFinite) {
                finite.set(false);
            }
        });
        gradients.setRecomputedRows(rows.cardinality());
        return finite.get();
    }

    static double[] values(Tensor tensor, long from, int count) {
        return values(tensor, from, count, new double[count]);
    }

    /** In {@code room} where it is large enough. */
    private static double[] values(Tensor tensor, long from, int count, double[] room) {
        double[] values = room.length < count ? new double[count] : room;
        Magnitude.read(tensor, from, count, values);
        return values;
    }

    private static double[] cleared(double[] room, int count) {
        if (room.length < count) {
            return new double[count];
        }
        Arrays.fill(room, 0, count, 0);
        return room;
    }

    private static void store(Tensor tensor, long at, double[] values) {
        float[] floats = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            floats[i] = (float) values[i];
        }
        Magnitude.write(floats, floats.length, tensor, at);
    }

    private static void add(double[] part, double[] sums, int at) {
        for (int i = 0; i < part.length; i++) {
            sums[at + i] += part[i];
        }
    }

    /** Returns whether the sums are finite. */
    private static boolean add(Tensor tensor, long at, double[] values, int count) {
        float[] sums = new float[count];
        tensor.copyTo(at, sums, 0, count);
        boolean finite = true;
        for (int i = 0; i < count; i++) {
            sums[i] = (float) (sums[i] + values[i]);
            finite &= Float.isFinite(sums[i]);
        }
        Magnitude.write(sums, count, tensor, at);
        return finite;
    }

    private static boolean finite(double[] values) {
        for (double value : values) {
            if (!Float.isFinite((float) value)) {
                return false;
            }
        }
        return true;
    }
}
