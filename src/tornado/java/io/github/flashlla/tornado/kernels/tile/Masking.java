package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Which keys a query sees, and the bits of a kernel's argument {@code flags}. */
public final class Masking {
    /** Bit of {@code flags}: query i sees keys j &lt;= i + (Sk - Sq) only. */
    public static final int CAUSAL = 1;
    /** Bit of {@code flags}: precondition the solve with the diagonal of A. */
    public static final int JACOBI = 2;
    /** Bit of {@code flags}: which keys a query sees is in the problem's sizes, as a window and packed sequences need it. */
    public static final int SPANS = 4;
    /** Bit of {@code flags}: where a tensor's rows lie is in the problem's sizes; without it they are row-major. */
    public static final int STRIDED = 8;
    /** Bit of {@code flags}: q and v are in the array of k, and those given for them are not read. No task takes an array twice. */
    public static final int PACKED = 16;
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

    // with spans: as a bit of the flags is a constant of the kernel, what is not asked for costs nothing

    /** The key behind the last that query {@code i} sees. */
    public static int end(IntArray sizes, int i, int Sq, int Sk, int flags) {
        int end;
        if ((flags & SPANS) != 0) {
            end = sizes.get(ProblemData.SPANS + 2 * i + 1);
        } else {
            end = visible(i, Sq, Sk, flags);
        }
        return end;
    }

    /** The same, and 0 past the last query. */
    public static int endOrNone(IntArray sizes, int i, int Sq, int Sk, int flags) {
        int end = end(sizes, Math.min(i, Sq - 1), Sq, Sk, flags);
        return i < Sq ? end : 0;
    }

    /** The first key that query {@code i} sees. */
    public static int first(IntArray sizes, int i, int flags) {
        int first = 0;
        if ((flags & SPANS) != 0) {
            first = sizes.get(ProblemData.SPANS + 2 * i);
        }
        return first;
    }

    /** How many keys query {@code i} sees, none past the last. */
    public static int seen(IntArray sizes, int i, int Sq, int Sk, int flags) {
        int at = Math.min(i, Sq - 1);
        int seen = end(sizes, at, Sq, Sk, flags) - first(sizes, at, flags);
        return i < Sq ? seen : 0;
    }

    /** More than 0 where {@code key} is one of {@code first} up to {@code end}; the first counts only where there are spans. */
    public static int sees(int key, int first, int end, int flags) {
        int sees = end - key;
        if ((flags & SPANS) != 0) {
            sees = key < first ? 0 : end - key;
        }
        return sees;
    }

    /** The first query that sees key {@code j}, or one before it. */
    public static int firstQuery(IntArray sizes, int j, int Sq, int Sk, int flags) {
        int first;
        if ((flags & SPANS) != 0) {
            first = sizes.get(ProblemData.SPANS + 2 * (Sq + j));
        } else {
            first = (flags & CAUSAL) != 0 ? Math.max(0, j - (Sk - Sq)) : 0;
        }
        return first;
    }

    /** The query behind the last that sees key {@code j}. */
    public static int endQuery(IntArray sizes, int j, int Sq, int flags) {
        int end = Sq;
        if ((flags & SPANS) != 0) {
            end = sizes.get(ProblemData.SPANS + 2 * (Sq + j) + 1);
        }
        return end;
    }
}
