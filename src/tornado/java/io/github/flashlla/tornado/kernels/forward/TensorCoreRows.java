package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.Fragments;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * What {@link TensorCoreForward} does between sweeps over the keys, with a row of a warp: the ends of its passes and the step of
 * conjugate gradients. Each method goes over a lane's 16 elements of one row; what it returns is the lane's part of the row's number, which
 * the four lanes of the row add up.
 *
 * <p>{@code area} is where the warp's scratch memory starts: row sums, then {@link #SUMS}, {@link #RESIDUAL_VECTOR} and {@link #Y}. {@code own}
 * is the place of the lane's first element of the row in each, {@code quad} the lane's number in the row, {@code i} the query.
 */
final class TensorCoreRows {
    // in a warp's scratch memory
    /** Sums of a sweep, sum w k or sum w v; then A y. */
    static final int SUMS = 1024;
    private static final int RESIDUAL_VECTOR = 2048;
    /** What a sweep multiplies the keys with. */
    static final int Y = 3072;

    // numbers of each row that outlive a sweep
    /** Total weight. */
    static final int WEIGHT = 0;
    /** y.kbar */
    static final int YK = TensorCoreTiles.BLOCK;
    /** Largest element of y. */
    static final int SIZE = 2 * TensorCoreTiles.BLOCK;
    static final int RR = 3 * TensorCoreTiles.BLOCK;
    /** First r.r. */
    static final int BB = 4 * TensorCoreTiles.BLOCK;
    /** Relative residual. */
    static final int RESIDUAL = 5 * TensorCoreTiles.BLOCK;
    /** Iterations. */
    static final int COUNT = 6 * TensorCoreTiles.BLOCK;
    /** Floats of all of them. */
    static final int STATE = 7 * TensorCoreTiles.BLOCK;

    private TensorCoreRows() {}

    /** End of pass 1: kbar; b = kbar - q is the first residual. Returns b.b. */
    static float beginSolve(FloatArray scratch, int area, int own, int quad, int i, float l, float total, int row0, int Sq, int D,
            FloatArray q, FloatArray kbar, FloatArray x) {
        float sum = 0f;
        for (int e = 0; e < 16; e++) {
            int d = column(e, quad);
            int at = area + place(e, own);
            float b = 0f;
            if (i < Sq && d < D && l > 0f) {
                float mean = scratch.get(at + SUMS) / total;
                b = mean - q.get((row0 + i) * D + d);
                kbar.set((row0 + i) * D + d, mean);
                x.set((row0 + i) * D + d, 0f);
            }
            scratch.set(at + RESIDUAL_VECTOR, b);
            scratch.set(at + Y, 0f);
            sum += b * b;
        }
        return sum;
    }

    /** A y = (sum w k - (sum w) kbar) / l + ridge y, in place of the sums. Returns y.Ay. */
    static float applyA(FloatArray scratch, int area, int own, int quad, int i, float l, float total, int row0, int Sq, int D,
            FloatArray kbar, FloatArray ridge) {
        float sum = 0f;
        for (int e = 0; e < 16; e++) {
            int d = column(e, quad);
            int at = area + place(e, own);
            float ay = 0f;
            float y = scratch.get(at + Y);
            if (i < Sq && d < D && l > 0f) {
                ay = (scratch.get(at + SUMS) - total * kbar.get((row0 + i) * D + d)) / l + ridge.get(row0 + i) * y;
            }
            scratch.set(at + SUMS, ay);
            sum += y * ay;
        }
        return sum;
    }

    /** y.r */
    static float product(FloatArray scratch, int area, int own) {
        float sum = 0f;
        for (int e = 0; e < 16; e++) {
            int at = area + place(e, own);
            sum += scratch.get(at + Y) * scratch.get(at + RESIDUAL_VECTOR);
        }
        return sum;
    }

    /** r -= step A y and x += step y. Returns r.r. */
    static float step(FloatArray scratch, int area, int own, int quad, int i, float step, int row0, int Sq, int D, FloatArray x) {
        float sum = 0f;
        for (int e = 0; e < 16; e++) {
            int d = column(e, quad);
            int at = area + place(e, own);
            float r = scratch.get(at + RESIDUAL_VECTOR) - step * scratch.get(at + SUMS);
            scratch.set(at + RESIDUAL_VECTOR, r);
            if (i < Sq && d < D) {
                int global = (row0 + i) * D + d;
                x.set(global, x.get(global) + step * scratch.get(at + Y));
            }
            sum += r * r;
        }
        return sum;
    }

    /**
     * What the next sweep multiplies the keys with, y = r + momentum y, or x. Returns its largest element.
     *
     * @param last 1 for x, before the output
     */
    static float turn(FloatArray scratch, int area, int own, int quad, int i, float momentum, int last, int row0, int Sq, int D, FloatArray x) {
        float large = 0f;
        for (int e = 0; e < 16; e++) {
            int d = column(e, quad);
            int at = area + place(e, own);
            float y = scratch.get(at + RESIDUAL_VECTOR) + momentum * scratch.get(at + Y);
            if (last == 1) {
                y = 0f;
                if (i < Sq && d < D) {
                    y = x.get((row0 + i) * D + d);
                }
            }
            scratch.set(at + Y, y);
            large = Math.max(large, Math.abs(y));
        }
        return large;
    }

    /** y.kbar, of what float16 holds of y. */
    static float meanProduct(FloatArray scratch, int area, int own, int quad, int i, int row0, int Sq, int D, FloatArray kbar) {
        float sum = 0f;
        for (int e = 0; e < 16; e += 2) {
            int d = column(e, quad);
            int at = area + place(e, own);
            float pair = 0f;
            if (i < Sq && d < D) {
                pair += scratch.get(at + Y) * kbar.get((row0 + i) * D + d);
            }
            if (i < Sq && d + 1 < D) {
                pair += scratch.get(at + Y + 1) * kbar.get((row0 + i) * D + d + 1);
            }
            sum += pair;
        }
        return sum;
    }

    /** End of pass 3: o; a query without keys gets 0. */
    static void storeOutput(FloatArray scratch, int area, int own, int quad, int i, float l, int row0, int Sq, int D, int Dv, FloatArray o,
            FloatArray kbar, FloatArray x) {
        for (int e = 0; e < 16; e++) {
            int d = column(e, quad);
            int at = area + place(e, own);
            if (i < Sq && d < Dv) {
                o.set((row0 + i) * Dv + d, l > 0f ? scratch.get(at + SUMS) / l : 0f);
            }
            if (i < Sq && d < D && l <= 0f) {
                kbar.set((row0 + i) * D + d, 0f);
                x.set((row0 + i) * D + d, 0f);
            }
        }
    }

    static void storeFacts(FloatArray lse, FloatArray stats, int row0, int quad, int i, int Sq, float l, float m, float count, float residual) {
        if (quad == 0 && i < Sq) {
            lse.set(row0 + i, l > 0f ? m + TornadoMath.log(l) : Float.NEGATIVE_INFINITY);
            stats.set(2 * (row0 + i), count);
            stats.set(2 * (row0 + i) + 1, residual);
        }
    }

    /** The largest of a lane's scores with two blocks of 8 keys, from {@code key} on, of those that the row sees. */
    static float largest(float s0, float s1, float s8, float s9, int key, int sees) {
        float first = Math.max(s0 + Fragments.hidden(key, sees), s1 + Fragments.hidden(key + 1, sees));
        float second = Math.max(s8 + Fragments.hidden(key + 8, sees), s9 + Fragments.hidden(key + 9, sees));
        return Math.max(first, second);
    }

    /** Column of a lane's element {@code e} of a row. */
    private static int column(int e, int quad) {
        return (e >> 1) * 8 + (quad << 1) + (e & 1);
    }

    /** Where that element lies. */
    private static int place(int e, int own) {
        return (e >> 1) * 128 + own + (e & 1);
    }
}
