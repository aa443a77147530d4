package io.github.flashlla.tornado.kernels.tile;

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
}
