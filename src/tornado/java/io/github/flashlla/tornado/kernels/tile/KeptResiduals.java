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
}
