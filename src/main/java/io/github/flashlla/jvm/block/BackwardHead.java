package io.github.flashlla.jvm.block;

import io.github.flashlla.AttentionShape;

/**
 * What the two backward passes share about one query head: the pass over query blocks writes u and the scalars, the pass
 * over key blocks reads all of it. Row-major, rows padded with zeros so that a tile may start at any query.
 */
public final class BackwardHead {

    /** scale q (Sq,D) */
    public final float[] scaledQ;
    /** dL/do (Sq,Dv) */
    public final float[] g;
    /** x (Sq,D) */
    public final float[] x;
    /** u = -A^-1 c (Sq,D) */
    final float[] u;
    /** {@link BlockLoops#ROW_SCALARS} per query; all 0 in the padding, which makes its weights 0. */
    final float[] scalars;

    public BackwardHead(AttentionShape shape) {
        int rows = rows(shape);
        int dim = BlockLoops.padded(shape.headDim());
        scaledQ = new float[Math.multiplyExact(rows, dim)];
        g = new float[Math.multiplyExact(rows, BlockLoops.padded(shape.valueDim()))];
        x = new float[rows * dim];
        u = new float[rows * dim];
        scalars = new float[rows * BlockLoops.ROW_SCALARS];
    }

    private static int rows(AttentionShape shape) {
        return shape.queryLength() + BlockLoops.UNROLL;
    }

    public static long bytes(AttentionShape shape) {
        long perRow = 3L * BlockLoops.padded(shape.headDim()) + BlockLoops.padded(shape.valueDim()) + BlockLoops.ROW_SCALARS;
        return rows(shape) * perRow * Float.BYTES;
    }
}
