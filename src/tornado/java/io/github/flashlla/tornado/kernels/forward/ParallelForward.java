package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import io.github.flashlla.tornadovm.Pass;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * FlashLLA's three passes as plain Java loops, one query an iteration of each: no work-groups, no local memory, nothing but
 * {@code @Parallel}. What every backend compiles, and the kernel to read first; {@code docs/kernels/parallel.md} walks through it.
 *
 * <pre>
 *   pass      1 softmax (max, total, kbar)   2 solve (conjugate gradients)   3 output; a task each
 *   group     TornadoVM's choice             block 1 query                   tile 8 keys
 *   tiles     none in local memory           registers 8 weights             vectors of D in global memory
 *   for       any device, float32, D and Dv 1 to 256, no preconditioner
 *   measured  docs/kernels/parallel.md
 * </pre>
 *
 * <p>Keys are taken relative to their head's centre c, which changes no weight and saves digits. {@code state} holds for each query
 * its largest score and its total weight, then the vectors r, y and A y of all queries, one after the other, and then the kept residuals.
 *
 * <p>{@code threads} bounds the loops and nothing else ({@link io.github.flashlla.tornado.graph.TaskAppender#loop} says why); those beyond
 * the last of {@code rows} do nothing.
 */
public final class ParallelForward {
    /** Keys whose weights are in registers at a time: a vector of D is read and written once for each so many. */
    private static final int KEYS = 8;
    private static final float TINY = 1e-37f;

    private ParallelForward() {}

    /** Floats of {@code state}. */
    public static long stateFloats(long rows, int D, int kept) {
        return rows * (2 + (3L + kept) * D);
    }

    /** Pass 1, the online softmax: the largest score, the total weight, and kbar = sum p k, relative to c. */
    public static void softmax(FloatArray q, FloatArray k, FloatArray centre, FloatArray kbar, FloatArray state, IntArray sizes,
            int threads, int rows, int group, int Sq, int Sk, int D, float scale, int flags) {
        for (@Parallel int row = 0; row < threads; row++) {
            if (row < rows) {
                int head = row / Sq / group;
                int first = Masking.first(sizes, row % Sq, flags);
                int end = Masking.end(sizes, row % Sq, Sq, Sk, flags);
                int query = Views.row(sizes, Views.Q, row, Sq, D, flags);
                int keys = Views.keyHead(sizes, Views.K, head, Sk, D, flags);
                int keyStride = Views.rowStride(sizes, Views.K, D, flags);
                float[] w = new float[KEYS];
                float max = Masking.LOW;
                float total = 0f;
                for (int d = 0; d < D; d++) {
                    kbar.set(row * D + d, 0f);
                }
                for (int j0 = first; j0 < end; j0 += KEYS) {
                    float top = max;
                    for (int n = 0; n < KEYS; n++) {
                        int at = keys + Math.min(j0 + n, Sk - 1) * keyStride;
                        w[n] = j0 + n < end ? scale * relative(q, query, k, centre, at, head, D, flags) : Masking.LOW;
                        top = Math.max(top, w[n]);
                    }
                    float shrink = TornadoMath.exp(max - top);
                    total = total * shrink;
                    for (int n = 0; n < KEYS; n++) {
                        w[n] = TornadoMath.exp(w[n] - top);
                        total = total + w[n];
                    }
                    for (int d = 0; d < D; d++) {
                        float sum = kbar.get(row * D + d) * shrink;
                        for (int n = 0; n < KEYS; n++) {
                            sum = sum + w[n] * key(k, centre, keys + Math.min(j0 + n, Sk - 1) * keyStride, head, d, D);
                        }
                        kbar.set(row * D + d, sum);
                    }
                    max = top;
                }
                for (int d = 0; d < D; d++) {
                    kbar.set(row * D + d, kbar.get(row * D + d) / Math.max(total, TINY));
                }
                state.set(2 * row, max);
                state.set(2 * row + 1, Math.max(total, TINY));
            }
        }
    }

    /** Pass 2: A x = kbar - q by conjugate gradients, a sweep over the keys each iteration. */
    public static void solve(FloatArray q, FloatArray k, FloatArray centre, FloatArray kbar, FloatArray ridge, FloatArray x,
            FloatArray state, FloatArray stats, IntArray sizes, int threads, int rows, int group, int Sq, int Sk, int D, float scale, int flags,
            float tol, int kept) {
        int maxIterations = sizes.get(ProblemData.MAX_ITERATIONS);
        for (@Parallel int row = 0; row < threads; row++) {
            if (row < rows) {
                int head = row / Sq / group;
                int first = Masking.first(sizes, row % Sq, flags);
                int end = Masking.end(sizes, row % Sq, Sq, Sk, flags);
                int query = Views.row(sizes, Views.Q, row, Sq, D, flags);
                int keys = Views.keyHead(sizes, Views.K, head, Sk, D, flags);
                int keyStride = Views.rowStride(sizes, Views.K, D, flags);
                int r = 2 * rows + row * D;
                int y = r + rows * D;
                float rr = 0f;
                for (int d = 0; d < D; d++) {
                    float b = end > first ? kbar.get(row * D + d) - (Views.get(q, k, query + d, flags) - centre.get(head * D + d)) : 0f;
                    // one key: A = ridge I, to the letter
                    x.set(row * D + d, end - first == 1 ? b / ridge.get(row) : 0f);
                    state.set(r + d, b);
                    state.set(y + d, b);
                    rr = rr + b * b;
                }
                float bb = rr;
                rr = end - first > 1 ? rr : 0f;
                int count = 0;
                while (rr > tol * tol * bb && count < maxIterations) {
                    float yAy = multiplyByA(q, query, k, keys, keyStride, centre, kbar, ridge.get(row), state, row, head, first, end, rows, Sk,
                            D, scale, flags);
                    float step = yAy > 0f ? rr / yAy : 0f;
                    for (int d = 0; d < D; d++) {
                        if (count < kept) {
                            state.set(r + (3 + count) * rows * D + d, state.get(r + d));
                        }
                        x.set(row * D + d, x.get(row * D + d) + step * state.get(y + d));
                        state.set(r + d, state.get(r + d) - step * state.get(y + rows * D + d));
                    }
                    for (int n = 0; n < Math.min(count + 1, kept); n++) {
                        orthogonalise(state, r, r + (3 + n) * rows * D, D);
                    }
                    float left = 0f;
                    for (int d = 0; d < D; d++) {
                        left = left + state.get(r + d) * state.get(r + d);
                    }
                    for (int d = 0; d < D; d++) {
                        state.set(y + d, state.get(r + d) + left / rr * state.get(y + d));
                    }
                    // no step: rounding has eaten the direction, and what there is stays
                    count = step > 0f ? count + 1 : maxIterations;
                    rr = left;
                }
                stats.set(2 * row, count);
                stats.set(2 * row + 1, bb > 0f ? TornadoMath.sqrt(rr / bb) : 0f);
            }
        }
    }

    /** Pass 3: o = sum p (1 - a) v with the slopes a = (k - kbar).x; their mean, 0 but for rounding, is taken off first. */
    public static void output(FloatArray q, FloatArray k, FloatArray v, FloatArray centre, FloatArray kbar, FloatArray x,
            FloatArray state, FloatArray o, FloatArray lse, IntArray sizes, int threads, int rows, int group, int Sq, int Sk, int D, int Dv,
            float scale, int flags) {
        for (@Parallel int row = 0; row < threads; row++) {
            if (row < rows) {
                int head = row / Sq / group;
                int first = Masking.first(sizes, row % Sq, flags);
                int end = Masking.end(sizes, row % Sq, Sq, Sk, flags);
                int query = Views.row(sizes, Views.Q, row, Sq, D, flags);
                int keys = Views.keyHead(sizes, Views.K, head, Sk, D, flags);
                int keyStride = Views.rowStride(sizes, Views.K, D, flags);
                float[] w = new float[KEYS];
                int values = Views.keyHead(sizes, Views.V, head, Sk, Dv, flags);
                int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
                int output = Views.row(sizes, Views.O, row, Sq, Dv, flags);
                float mean = 0f;
                for (int j = first; j < end; j++) {
                    int at = keys + j * keyStride;
                    mean = mean + weight(q, query, k, centre, state, row, at, head, D, scale, flags)
                            * slope(x, row * D, k, centre, kbar, row, at, head, D);
                }
                for (int e = 0; e < Dv; e++) {
                    o.set(output + e, 0f);
                }
                for (int j0 = first; j0 < end; j0 += KEYS) {
                    for (int n = 0; n < KEYS; n++) {
                        int j = Math.min(j0 + n, Sk - 1);
                        float a = slope(x, row * D, k, centre, kbar, row, keys + j * keyStride, head, D) - mean;
                        w[n] = j0 + n < end ? weight(q, query, k, centre, state, row, keys + j * keyStride, head, D, scale, flags) * (1f - a) : 0f;
                    }
                    for (int e = 0; e < Dv; e++) {
                        float sum = o.get(output + e);
                        for (int n = 0; n < KEYS; n++) {
                            sum = sum + w[n] * Views.get(v, k, values + Math.min(j0 + n, Sk - 1) * valueStride + e, flags);
                        }
                        o.set(output + e, sum);
                    }
                }
                float shift = 0f;
                for (int d = 0; d < D; d++) {
                    float c = centre.get(head * D + d);
                    shift = shift + Views.get(q, k, query + d, flags) * c;
                    kbar.set(row * D + d, end > first ? kbar.get(row * D + d) + c : 0f);
                }
                float sum = state.get(2 * row) + TornadoMath.log(state.get(2 * row + 1)) + scale * shift;
                lse.set(row, end > first ? sum : Float.NEGATIVE_INFINITY);
            }
        }
    }

    /** A's product with a query's y, sum p ((k - kbar).y) k + ridge y, into {@code state} behind y; returns y.A y. */
    private static float multiplyByA(FloatArray q, int query, FloatArray k, int keys, int keyStride, FloatArray centre, FloatArray kbar,
            float ridge, FloatArray state, int row, int head, int first, int end, int rows, int Sk, int D, float scale, int flags) {
        int y = 2 * rows + (rows + row) * D;
        int ay = y + rows * D;
        float[] w = new float[KEYS];
        for (int d = 0; d < D; d++) {
            state.set(ay + d, ridge * state.get(y + d));
        }
        for (int j0 = first; j0 < end; j0 += KEYS) {
            for (int n = 0; n < KEYS; n++) {
                int j = Math.min(j0 + n, Sk - 1);
                w[n] = j0 + n < end ? weight(q, query, k, centre, state, row, keys + j * keyStride, head, D, scale, flags)
                        * slope(state, y, k, centre, kbar, row, keys + j * keyStride, head, D) : 0f;
            }
            for (int d = 0; d < D; d++) {
                float sum = state.get(ay + d);
                for (int n = 0; n < KEYS; n++) {
                    sum = sum + w[n] * key(k, centre, keys + Math.min(j0 + n, Sk - 1) * keyStride, head, d, D);
                }
                state.set(ay + d, sum);
            }
        }
        float product = 0f;
        for (int d = 0; d < D; d++) {
            product = product + state.get(y + d) * state.get(ay + d);
        }
        return product;
    }

    /** Takes the part of an earlier residual off a later one, to which it is orthogonal but for rounding. */
    private static void orthogonalise(FloatArray state, int r, int earlier, int D) {
        float both = 0f;
        float square = 0f;
        for (int d = 0; d < D; d++) {
            both = both + state.get(r + d) * state.get(earlier + d);
            square = square + state.get(earlier + d) * state.get(earlier + d);
        }
        for (int d = 0; d < D; d++) {
            state.set(r + d, state.get(r + d) - both / square * state.get(earlier + d));
        }
    }

    private static float key(FloatArray k, FloatArray centre, int at, int head, int d, int D) {
        return k.get(at + d) - centre.get(head * D + d);
    }

    /** q.(k - c): a score but for the scale; q is at {@code query}, k at {@code at}. */
    private static float relative(FloatArray q, int query, FloatArray k, FloatArray centre, int at, int head, int D, int flags) {
        float sum = 0f;
        for (int d = 0; d < D; d++) {
            sum = sum + Views.get(q, k, query + d, flags) * key(k, centre, at, head, d, D);
        }
        return sum;
    }

    /** The first primitive, relmm: x.k - x.kbar, a key's slope along the vector at {@code vector}. */
    private static float slope(FloatArray x, int vector, FloatArray k, FloatArray centre, FloatArray kbar, int row, int at, int head, int D) {
        float sum = 0f;
        for (int d = 0; d < D; d++) {
            sum = sum + x.get(vector + d) * (key(k, centre, at, head, d, D) - kbar.get(row * D + d));
        }
        return sum;
    }

    /** p of a key, from the score and what pass 1 saved. */
    private static float weight(FloatArray q, int query, FloatArray k, FloatArray centre, FloatArray state, int row, int at, int head, int D,
            float scale, int flags) {
        return TornadoMath.exp(scale * relative(q, query, k, centre, at, head, D, flags) - state.get(2 * row)) / state.get(2 * row + 1);
    }
}
