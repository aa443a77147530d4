package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaOptions;
import java.util.Arrays;

/**
 * The backward pass for one block of keys, one key per lane: dk and dv, summed over the query blocks of the group's heads
 * that see it, in a fixed order. With e, h and mu as in {@link BackwardQueryBlock}:
 *
 * <pre>
 *     dk_j = sum_i [ dS_ij scale q_i + p_ij e_ij u_i - p_ij h_ij x_i ]
 *     dv_j = sum_i p_ij e_ij g_i
 * </pre>
 */
public final class BackwardKeyBlock {

    /** Queries of one tile. */
    private static final int TILE_QUERIES = 64;

    private final BlockLoops kernels;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final int dim;
    private final int valueDim;
    private final float[] k;
    private final float[] v;
    private final float[] dk;
    private final float[] dv;
    private final float[] s = new float[TILE_QUERIES * ROWS];
    private final float[] xk = new float[TILE_QUERIES * ROWS];
    private final float[] gu = new float[TILE_QUERIES * ROWS];
    private final float[] rowBuffer;

    public BackwardKeyBlock(BlockLoops kernels, AttentionShape shape, LlaOptions options) {
        this.kernels = kernels;
        this.shape = shape;
        this.options = options;
        this.dim = BlockLoops.padded(shape.headDim());
        this.valueDim = BlockLoops.padded(shape.valueDim());
        this.k = new float[dim * ROWS];
        this.v = new float[valueDim * ROWS];
        this.dk = new float[dim * ROWS];
        this.dv = new float[valueDim * ROWS];
        this.rowBuffer = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of one block's scratch memory. */
    public static long bytes(AttentionShape shape) {
        return 2L * (BlockLoops.padded(shape.headDim()) + BlockLoops.padded(shape.valueDim()) + 3L * TILE_QUERIES / 2)
                * ROWS * Float.BYTES;
    }

    /**
     * Computes keys j0 to j0+count-1 of one key/value head.
     *
     * @param kvHead b * Hkv + hkv
     * @param keyValues its keys and values
     * @param heads the query heads
     * @param firstHead the first of its group in {@code heads}
     */
    public void run(long kvHead, int j0, int count, KeyValueHead keyValues, BackwardHead[] heads, int firstHead,
            LlaGradients gradients) {
        TensorRows.transpose(keyValues.floats, keyValues.keys, j0, count, dim, k);
        TensorRows.transpose(keyValues.floats, keyValues.values, j0, count, valueDim, v);
        Arrays.fill(dk, 0);
        Arrays.fill(dv, 0);
        int firstQuery = options.causal() ? Math.max(0, j0 - (shape.keyLength() - shape.queryLength())) : 0;
        int endQuery = endQuery(j0 + count - 1);
        for (int h = firstHead; h < firstHead + shape.group(); h++) {
            for (int i0 = firstQuery; i0 < endQuery; i0 += TILE_QUERIES) {
                add(heads[h], i0, BlockLoops.padded(Math.min(TILE_QUERIES, shape.queryLength() - i0)), j0);
            }
        }
        long firstRow = kvHead * shape.keyLength() + j0;
        TensorRows.storeTransposed(dk, count, shape.headDim(), gradients.dk(), firstRow * shape.headDim(), rowBuffer);
        TensorRows.storeTransposed(dv, count, shape.valueDim(), gradients.dv(), firstRow * shape.valueDim(), rowBuffer);
    }

    /** End of the queries that see key {@code j} or an earlier one. */
    private int endQuery(int j) {
        return options.window() == 0 ? shape.queryLength()
                : (int) Math.clamp((long) j + options.window() - (shape.keyLength() - shape.queryLength()), 0, shape.queryLength());
    }

    /** Adds what queries i0 to i0+m-1 contribute; queries past the last one have weight 0. */
    private void add(BackwardHead head, int i0, int m, int j0) {
        int at = i0 * dim;
        kernels.multiply(m, dim, head.scaledQ, at, dim, k, s, 0);
        mask(i0, m, j0);
        kernels.multiply(m, dim, head.x, at, dim, k, xk, 0);
        kernels.multiply(m, valueDim, head.g, i0 * valueDim, valueDim, v, gu, 0);
        kernels.multiplyAdd(m, dim, head.u, at, dim, k, gu, 0);
        kernels.keyGradients(m, s, xk, gu, head.scalars, i0);
        kernels.accumulate(m, dim, head.scaledQ, at, dim, s, 0, dk);
        kernels.accumulate(m, dim, head.u, at, dim, xk, 0, dk);
        kernels.accumulate(m, dim, head.x, at, dim, gu, 0, dk);
        kernels.accumulate(m, valueDim, head.g, i0 * valueDim, valueDim, xk, 0, dv);
    }

    private void mask(int i0, int m, int j0) {
        for (int i = 0; i < m && i0 + i < shape.queryLength(); i++) {
            int seen = shape.visibleKeys(i0 + i, options.causal()) - j0;
            int from = shape.firstKey(i0 + i, options) - j0;
            if (seen >= ROWS && options.window() == 0) {
                return; // and so do all later queries
            }
            Arrays.fill(s, i * ROWS + Math.clamp(seen, 0, ROWS), (i + 1) * ROWS, Float.NEGATIVE_INFINITY);
            Arrays.fill(s, i * ROWS, i * ROWS + Math.clamp(from, 0, ROWS), Float.NEGATIVE_INFINITY);
        }
    }
}
