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
    /** {@link TileKernels#ROW_SCALARS} per query; all 0 in the padding, which makes its weights 0. */
    final float[] scalars;

    public BackwardHead(AttentionShape shape) {
        int rows = rows(shape);
        int dim = TileKernels.padded(shape.headDim());
        scaledQ = new float[Math.multiplyExact(rows, dim)];
        g = new float[Math.multiplyExact(rows, TileKernels.padded(shape.valueDim()))];
        x = new float[rows * dim];
        u = new float[rows * dim];
        scalars = new float[rows * TileKernels.ROW_SCALARS];
    }

    private static int rows(AttentionShape shape) {
        return shape.queryLength() + TileKernels.UNROLL;
    }

    public static long bytes(AttentionShape shape) {
        long perRow = 3L * TileKernels.padded(shape.headDim()) + TileKernels.padded(shape.valueDim()) + TileKernels.ROW_SCALARS;
        return rows(shape) * perRow * Float.BYTES;
    }
}
