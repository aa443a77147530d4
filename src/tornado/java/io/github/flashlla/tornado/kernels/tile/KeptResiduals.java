package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Residuals of a solve that are kept, so that each later one is made orthogonal to them again. */
public final class KeptResiduals {
    /**
     * Unit of {@code flags} for the number of initial residuals to keep. Each later residual is made orthogonal to them again;
     * without this, float32 rounding makes the solve repeat directions that it has already solved.
     */
    public static final int UNIT = 256;
    /** Most that are kept. */
    public static final int MOST = 24;

    private KeptResiduals() {}

    /**
     * An element of the residual of the solve: in {@code o} until the output is written, or behind x where Dv is too small for it.
     *
     * @param behind where it begins in {@code x}
     */
    public static float residual(FloatArray o, FloatArray x, int row, int column, int D, int Dv, int behind) {
        float value;
        if (Dv >= D) {
            value = o.get(row * Dv + column);
        } else {
            value = x.get(behind + row * D + column);
        }
        return value;
    }

    /** Sets that element. */
    public static void setResidual(FloatArray o, FloatArray x, int row, int column, int D, int Dv, int behind, float value) {
        if (Dv >= D) {
            o.set(row * Dv + column, value);
        } else {
            x.set(behind + row * D + column, value);
        }
    }

    /**
     * One thread's part, columns {@code tx}, {@code tx + TX} and so on, of the product of a row's residual with the same row of another array.
     *
     * @param from where that array starts in {@code with}
     * @param divided whether the residual is divided by the diagonal of A, with which {@code with} starts
     */
    public static float dot(FloatArray with, int from, FloatArray o, FloatArray x, int row, int tx, int TX, int D, int Dv, int behind,
            boolean divided) {
        float sum = 0f;
        for (int d = tx; d < D; d += TX) {
            float r = residual(o, x, row, d, D, Dv, behind);
            sum += with.get(from + row * D + d) * (divided ? r / with.get(row * D + d) : r);
        }
        return sum;
    }

    /** The same thread's part of taking {@code part} times that row off the residual; in columns up to {@code width}. */
    public static void subtract(float part, int width, FloatArray of, int from, FloatArray o, FloatArray x, int row, int tx, int TX, int D,
            int Dv, int behind) {
        for (int d = tx; d < width; d += TX) {
            float r = residual(o, x, row, d, D, Dv, behind);
            setResidual(o, x, row, d, D, Dv, behind, r - part * of.get(from + row * D + d));
        }
    }
}
