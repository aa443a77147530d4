package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;

/** Softmax attention of one block of queries: LLA's pass 1 over the keys, with the mean of the values instead of the keys. */
public final class SoftmaxBlock {
    private final AttentionShape shape;
    private final LlaOptions options;
    private final int dim;
    private final int valueDim;
    private final BlockWeights weights;
    private final float[] q;
    private final float[] output;
    private final float[] logSumExp = new float[ROWS];
    private final float[] rowBuffer;

    public SoftmaxBlock(BlockLoops kernels, AttentionShape shape, LlaOptions options) {
        this.shape = shape;
        this.options = options;
        this.dim = BlockLoops.padded(shape.headDim());
        this.valueDim = BlockLoops.padded(shape.valueDim());
        this.weights = new BlockWeights(kernels, dim, BlockWeights.most(shape, options), false);
        this.q = new float[dim * ROWS];
        this.output = new float[valueDim * ROWS];
        this.rowBuffer = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of one block's scratch memory. */
    public static long bytes(AttentionShape shape, LlaOptions options) {
        return BlockWeights.bytes(shape, options, false) + (BlockLoops.padded(shape.headDim()) + BlockLoops.padded(shape.valueDim()) + 1L) * ROWS * Float.BYTES;
    }

    /**
     * Computes queries i0 to i0+rows-1 of one head.
     *
     * @param head b * H + h
     * @param keyValues this head's keys and values
     */
    public void run(long head, int i0, int rows, KeyValueHead keyValues, LlaInputs inputs, LlaResult result) {
        long firstRow = head * shape.queryLength() + i0;
        TensorRows.loadTransposed(inputs.q(), firstRow * shape.headDim(), rows, shape.headDim(), q, rowBuffer);
        float scale = (float) options.scaleFor(shape.headDim());
        for (int at = 0; at < q.length; at++) {
            q[at] *= scale;
        }
        weights.begin(shape, options, i0, rows, keyValues);
        weights.softmax(q, keyValues.values, valueDim, output);
        for (int row = 0; row < rows; row++) {
            result.iterations()[(int) firstRow + row] = 0;
            result.residual()[(int) firstRow + row] = 0;
        }
        weights.logSumExp(q, keyValues.centre, logSumExp);
        TensorRows.storeTransposed(output, rows, shape.valueDim(), result.output(), firstRow * shape.valueDim(), rowBuffer);
        TensorRows.store(logSumExp, 0, rows, result.logSumExp(), firstRow);
    }
}
