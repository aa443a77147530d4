package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Softmax attention as a plain Java loop, one query an iteration: no work-groups, no local memory, nothing but {@code @Parallel}. What
 * every backend compiles, and the kernel to read first.
 *
 * <pre>
 *   pass      online softmax, one sweep over the keys
 *   group     TornadoVM's choice   block 1 query   tile 8 keys
 *   registers 8 weights            vectors of Dv in global memory
 *   for       any device, float32, D and Dv 1 to 256
 * </pre>
 */
public final class ParallelSoftmax {
    /** Keys whose weights are in registers at a time: a row of o is read and written once for each so many. */
    private static final int KEYS = 8;
    private static final float TINY = 1e-37f;

    private ParallelSoftmax() {}

    /**
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param sizes see {@link SoftmaxData}
     * @param scale one element
     * @param threads bounds the loop and nothing else ({@link io.github.flashlla.tornado.graph.TaskAppender#loop} says why)
     * @param rows B H Sq; threads beyond them do nothing
     */
    public static void softmax(FloatArray q, FloatArray k, FloatArray v, FloatArray o, FloatArray lse, IntArray sizes, FloatArray scale,
            int threads, int rows, int D, int Dv) {
        for (@Parallel int row = 0; row < threads; row++) {
            if (row < rows) {
                int Sq = sizes.get(SoftmaxData.SQ);
                int Sk = sizes.get(SoftmaxData.SK);
                int key0 = row / Sq / sizes.get(SoftmaxData.GROUP) * Sk;
                int seen = SoftmaxData.sees(row % Sq, sizes.get(SoftmaxData.FIRST_SEES), Sk);
                float factor = scale.get(0);
                float[] w = new float[KEYS];
                float max = Masking.LOW;
                float total = 0f;
                for (int d = 0; d < Dv; d++) {
                    o.set(row * Dv + d, 0f);
                }
                for (int j0 = 0; j0 < seen; j0 += KEYS) {
                    float top = max;
                    for (int n = 0; n < KEYS; n++) {
                        w[n] = j0 + n < seen ? factor * product(q, row, k, key0 + Math.min(j0 + n, Sk - 1), D) : Masking.LOW;
                        top = Math.max(top, w[n]);
                    }
                    float shrink = TornadoMath.exp(max - top);
                    total = total * shrink;
                    for (int n = 0; n < KEYS; n++) {
                        w[n] = TornadoMath.exp(w[n] - top);
                        total = total + w[n];
                    }
                    for (int d = 0; d < Dv; d++) {
                        float sum = o.get(row * Dv + d) * shrink;
                        for (int n = 0; n < KEYS; n++) {
                            sum = sum + w[n] * v.get((key0 + Math.min(j0 + n, Sk - 1)) * Dv + d);
                        }
                        o.set(row * Dv + d, sum);
                    }
                    max = top;
                }
                for (int d = 0; d < Dv; d++) {
                    o.set(row * Dv + d, o.get(row * Dv + d) / Math.max(total, TINY));
                }
                lse.set(row, seen > 0 ? max + TornadoMath.log(Math.max(total, TINY)) : Float.NEGATIVE_INFINITY);
            }
        }
    }

    private static float product(FloatArray q, int row, FloatArray k, int key, int D) {
        float sum = 0f;
        for (int d = 0; d < D; d++) {
            sum = sum + q.get(row * D + d) * k.get(key * D + d);
        }
        return sum;
    }
}
