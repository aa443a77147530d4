package io.github.flashlla.reference;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.text.Numbers;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** One shape on the reference, query by query. */
final class ReferencePlan implements LlaPlan {
    private final ExclusiveUse use;
    private final AttentionShape shape;
    private final LlaOptions options;

    ReferencePlan(DeviceState device, AttentionShape shape, LlaOptions options) {
        this.use = ExclusiveUse.ofPlan(device);
        this.shape = shape;
        this.options = options;
        long have = Runtime.getRuntime().maxMemory();
        if (workspaceBytes() > have) {
            throw new DeviceException("reference: " + shape + " needs " + Numbers.bytes(workspaceBytes()) + " of heap, but java may use "
                    + Numbers.bytes(have) + "; use a shorter sequence, or another device.");
        }
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public LlaResult newResult() {
        return new LlaResult(shape, DataType.FLOAT64, options.keepState());
    }

    @Override
    public LlaGradients newGradients() {
        return new LlaGradients(shape, DataType.FLOAT64);
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        Checks.requireForward("reference", shape, inputs, result);
        use.run(() -> runForward(inputs, result));
    }

    private void runForward(LlaInputs inputs, LlaResult result) {
        long start = System.nanoTime();
        LongStream.range(0, shape.rows()).parallel().forEach(row -> {
            double[] o = new double[shape.valueDim()];
            double[] kbar = new double[shape.headDim()];
            double[] x = new double[shape.headDim()];
            double logSumExp = Double.NEGATIVE_INFINITY;
            if (shape.visibleKeys((int) (row % shape.queryLength()), options.causal()) > 0) {
                ExactQuery query = new ExactQuery(shape, options, inputs, row);
                o = query.output();
                kbar = query.kbar();
                x = query.x();
                logSumExp = query.logSumExp();
            }
            put(o, result.output(), row);
            result.logSumExp().set(row, logSumExp);
            if (result.keepsState()) {
                put(kbar, result.kbar(), row);
                put(x, result.x(), row);
            }
            result.iterations()[(int) row] = 0;
            result.residual()[(int) row] = 0;
        });
        result.setPairIterations(0);
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        Checks.requireBackward("reference", shape, inputs, saved, gradOutput, gradients);
        use.run(() -> runBackward(inputs, gradOutput, gradients));
    }

    private void runBackward(LlaInputs inputs, Tensor gradOutput, LlaGradients gradients) {
        long start = System.nanoTime();
        // a head of keys and values at a time, its queries in order: sums are the same from run to run
        IntStream.range(0, shape.batch() * shape.kvHeads()).parallel()
                .forEach(kvHead -> backwardHead(kvHead, inputs, gradOutput, gradients));
        java.util.Arrays.fill(gradients.iterations(), 0);
        java.util.Arrays.fill(gradients.residual(), 0);
        gradients.setPairIterations(0);
        gradients.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private void backwardHead(int kvHead, LlaInputs inputs, Tensor gradOutput, LlaGradients gradients) {
        int d = shape.headDim();
        int dv = shape.valueDim();
        double[][] dk = new double[shape.keyLength()][d];
        double[][] dvOut = new double[shape.keyLength()][dv];
        for (int h = kvHead * shape.group(); h < (kvHead + 1) * shape.group(); h++) {
            for (int i = 0; i < shape.queryLength(); i++) {
                long row = (long) h * shape.queryLength() + i;
                int first = shape.firstKey(i, options);
                int visible = shape.seenKeys(i, options);
                if (visible == 0) {
                    put(new double[d], gradients.dq(), row);
                    gradients.dridge().set(row, 0);
                    continue;
                }
                ExactQuery query = new ExactQuery(shape, options, inputs, row);
                query.backward(ExactQuery.values(gradOutput, row * dv, dv));
                put(query.dq(), gradients.dq(), row);
                gradients.dridge().set(row, query.dridge());
                for (int j = 0; j < visible; j++) {
                    query.addDk(j, dk[first + j]);
                    query.addDv(j, dvOut[first + j]);
                }
            }
        }
        for (int j = 0; j < shape.keyLength(); j++) {
            long row = (long) kvHead * shape.keyLength() + j;
            put(dk[j], gradients.dk(), row);
            put(dvOut[j], gradients.dv(), row);
        }
    }

    private static void put(double[] values, Tensor tensor, long row) {
        for (int c = 0; c < values.length; c++) {
            tensor.set(row * values.length + c, values[c]);
        }
    }

    /** Keys, values and weights of one query for each thread, and the gradients of one head. */
    @Override
    public long workspaceBytes() {
        long perKey = shape.headDim() + shape.valueDim() + 6L;
        long perQuery = shape.keyLength() * perKey + 3L * shape.headDim() * shape.headDim();
        return 2 * perQuery * Double.BYTES * Runtime.getRuntime().availableProcessors();
    }

    @Override
    public void close() {
        use.close(() -> { }); // nothing is held
    }
}
