package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * What the three kernels of the backward pass on GPUs share: {@link GpuBackwardSolve}, then {@link GpuBackwardQueries}, then
 * {@link GpuBackwardKeys}. Every head dim up to 256; no atomics, each result is summed by one thread in a fixed order.
 *
 * <p>A work-group of {@value #THREADS} threads, 16 rows (ty) by 8 columns (tx), keeps BM rows in local memory and streams the
 * other side through it BN rows at a time. DP is the larger of D and Dv rounded up to a power of two, R = C = 4 for DP up to
 * 64, 2 for 128, 1 for 256:
 *
 * <pre>
 *   block     BM = 16 R rows, BN = 8 C columns a tile           (DP = 64: 64 and 32)
 *   products  thread (ty, tx) holds rows ty + 16 i, i &lt; R, and columns tx + 8 j, j &lt; C
 *   sums      the same rows, dims tx + 8 c, c &lt; DP / 8
 *   local     two tiles BM x DP, one BN x DP, weights BM x BN: 48 KB for DP = 64
 * </pre>
 *
 * <p>Within a row of a tile, columns are permuted by the low three bits of the row, so that threads that read one column
 * of different rows hit different banks. Register tiles are arrays with constant indexes, which OpenCL and CUDA keep in
 * registers.
 *
 * <p>Formulas, with e_ij = 1 - a_ij and h_ij = G_ij - Gbar_i + b_ij, so that no difference of large numbers is left:
 *
 * <pre>
 *   c_i   = sum_j w_ij k_j - (sum_j w_ij) kbar_i,  w_ij = p_ij (G_ij - Gbar_i)
 *   mu_i  = sum_j p_ij e_ij h_ij,                  dS_ij = p_ij (e_ij h_ij - mu_i)
 *   dq_i  = scale (sum_j p_ij e_ij h_ij k_j - mu_i kbar_i) - u_i
 *   dk_j  = sum_i [ scale dS_ij q_i + p_ij e_ij u_i - p_ij h_ij x_i ]
 *   dv_j  = sum_i p_ij e_ij g_i
 * </pre>
 */
public final class GpuBackward {
    public static final int THREADS = 128;

    /** Row-wise sums that have their place in the weights' tile at once. */
    static final int SLOTS = 4;
    /** Floats of a tile that a thread has in flight between global and local memory. */
    static final int STAGE = 8;

    private GpuBackward() {}

    /** Head dim rounded up to what the thread grid covers. */
    public static int paddedDim(int headDim, int valueDim) {
        int dim = Math.max(headDim, valueDim);
        return dim <= 16 ? 16 : dim <= 32 ? 32 : dim <= 64 ? 64 : dim <= 128 ? 128 : 256;
    }

    /** Rows of one work-group: queries, or keys in {@link GpuBackwardKeys}. */
    public static int blockRows(int paddedDim) {
        return 16 * Math.min(4, 256 / paddedDim);
    }

    /** Bytes of local memory of each kernel. */
    public static int localBytes(int paddedDim) {
        int rows = blockRows(paddedDim);
        int columns = rows / 2;
        return (2 * rows * paddedDim + columns * paddedDim + Math.max(rows * columns, SLOTS * 8 * rows)) * Float.BYTES;
    }

    /** Element of a matrix of rows of {@code width}, {@code stride} apart, 0 beyond {@code rows} or {@code width}. */
    static float element(FloatArray a, int start, int stride, int row, int rows, int column, int width) {
        float value = a.get(start + Math.min(row, rows - 1) * stride + Math.min(column, width - 1));
        return row < rows && column < width ? value : 0f;
    }

    /** The same of queries or values, which may be in the array of keys. */
    static float element(FloatArray a, FloatArray k, int start, int stride, int row, int rows, int column, int width, int flags) {
        float value = Views.get(a, k, start + Math.min(row, rows - 1) * stride + Math.min(column, width - 1), flags);
        return row < rows && column < width ? value : 0f;
    }

    /** The same of keys relative to their head's centre. */
    static float key(FloatArray k, FloatArray centre, int head, int start, int stride, int row, int rows, int column, int width) {
        int at = Math.min(column, width - 1);
        float value = k.get(start + Math.min(row, rows - 1) * stride + at) - centre.get(head * width + at);
        return row < rows && column < width ? value : 0f;
    }
}
