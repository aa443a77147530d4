package io.github.flashlla.tornado.kernels.tile;

/** The numbers of a query that the backward kernels leave for each other, in an array (B,H,Sq,{@value #ROW_SCALARS}). */
public final class BackwardRow {
    /** Floats of {@code rows} per query: what one kernel leaves for the next, and for the host. */
    public static final int ROW_SCALARS = 8;
    /** Log-sum-exp of the scores of centred keys. */
    public static final int LSE = 0;
    /** 1 / sum_j exp(score - lse): 1 but for the rounding of a large log-sum-exp. */
    public static final int FACTOR = 1;
    public static final int GBAR = 2;
    /** x.kbar, kbar centred. */
    public static final int X_KBAR = 3;
    /** - Gbar - u.kbar */
    public static final int H_SHIFT = 4;
    /** sum_j p_ij e_ij h_ij */
    public static final int MU = 5;
    /** Iterations of the solve for u. */
    public static final int ITERATIONS = 6;
    /** Its relative residual. */
    public static final int RESIDUAL = 7;

    private BackwardRow() {}
}
