package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;

/** Which keys a query sees, and the bits of a kernel's argument {@code flags}. */
public final class Masking {
    /** Bit of {@code flags}: query i sees keys j &lt;= i + (Sk - Sq) only. */
    public static final int CAUSAL = 1;
    /** Bit of {@code flags}: precondition the solve with the diagonal of A. */
    public static final int JACOBI = 2;
    /** Below every score: OpenCL's relaxed arithmetic knows no infinities. */
    public static final float LOW = -1e30f;

    private Masking() {}

    /** The bits that a problem's options set. */
    public static int flags(LlaOptions options) {
        return (options.causal() ? CAUSAL : 0) | (isJacobi(options) ? JACOBI : 0);
    }

    public static boolean isJacobi(LlaOptions options) {
        return options.preconditioner() == Preconditioner.JACOBI;
    }

    /** Number of keys that query {@code i} sees. */
    public static int visible(int i, int Sq, int Sk, int flags) {
        return (flags & CAUSAL) != 0 ? Math.max(0, Math.min(Sk, i + 1 + Sk - Sq)) : Sk;
    }

    /** The same, and none past the last query. */
    public static int visibleOrNone(int i, int Sq, int Sk, int flags) {
        int all = (flags & CAUSAL) != 0 ? Math.max(0, Math.min(Sk, i + 1 + Sk - Sq)) : Sk;
        return i < Sq ? all : 0;
    }
}
