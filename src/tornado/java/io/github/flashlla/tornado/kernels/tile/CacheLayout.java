package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.InvalidInputException;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Where the key/value cache keeps its elements on a device, and the kernel that appends tokens. */
public final class CacheLayout {
    // bits of a kernel's argument format
    /** Elements are float16, in the second of two arrays. */
    public static final int FLOAT16 = 1;
    /** Rows are one after the other, not as {@link #index} has them. */
    public static final int ROW_MAJOR = 2;
    /** A sequence's rows are in pages, which a table names; else a sequence is one page, that of its own number. */
    public static final int PAGED = 4;
    /** From this bit on: the newest tokens that a query sees; 0 for all. */
    private static final int WINDOW = 8;
    private static final int MOST_DIVISOR = 1 << 30;

    private CacheLayout() {}

    /**
     * Where element d of a row (sequence, head and position in one) lies. Rows are in blocks of P = 32 / lanes, a block's dims in
     * groups of {@link #lanes}: (rows / P, D / lanes, P, lanes). With D lanes that is row-major; with D / 8, the 32 threads of a
     * warp that share P keys read 32 neighbours each time.
     */
    public static int index(int row, int d, int dim) {
        int lanes = lanes(dim);
        int blockKeys = Math.max(1, 32 / lanes);
        return (row / blockKeys * (dim / lanes) + d / lanes) * (blockKeys * lanes) + row % blockKeys * lanes + d % lanes;
    }

    /** The lanes of {@link #index}: D / 8 where that is a power of two, for the matrix-free method's sake, else D. */
    public static int lanes(int dim) {
        int lanes = dim;
        if (dim % 8 == 0 && (dim & (dim - 1)) == 0) {
            lanes = dim / 8;
        }
        return lanes;
    }

    /**
     * Where element d of a token lies in a cache (pages,Hkv,pageSize,D).
     *
     * @param pages (B,perSequence): the page that holds tokens n pageSize to (n + 1) pageSize - 1 of a sequence; less than 0 for none
     * @param kvUnit sequence * Hkv + head
     * @param format of the bits above
     */
    public static int at(IntArray pages, int perSequence, int pageSize, int kvHeads, int format, int kvUnit, int token, int d, int dim) {
        int row = kvUnit * pageSize + token;
        if ((format & PAGED) != 0) {
            int rows = divisor(pageSize);
            int page = Math.max(pages.get(kvUnit / kvHeads * perSequence + token / rows), 0);
            row = (page * kvHeads + kvUnit % kvHeads) * rows + token % rows;
        }
        int at = row * dim + d;
        if ((format & ROW_MAJOR) == 0) {
            at = index(row, d, dim);
        }
        return at;
    }

    /**
     * A format with a window.
     *
     * @param window 0 for none
     * @param capacity most tokens of a sequence
     * @throws InvalidInputException if a window shorter than the capacity exceeds what the bits hold
     */
    public static int withWindow(int format, int window, int capacity) {
        int most = Integer.MAX_VALUE / WINDOW;
        if (window >= capacity) {
            return format;
        }
        if (window > most) {
            throw new InvalidInputException("a window of " + window + " keys exceeds the " + most + " that decoding takes on this device");
        }
        return format + WINDOW * window;
    }

    /**
     * A size from memory, 1 to 2^30, to divide by. The compiler knows that it is not 0: a division that might fail keeps what the kernel
     * would need to go on in Java, the kernel context too, and SPIR-V is wrong with that.
     */
    public static int divisor(int size) {
        return 1 + (size - 1 & (MOST_DIVISOR - 1));
    }

    /** The first token that the newest of {@code length} sees. */
    public static int first(int format, int length) {
        int first = 0;
        if (format >= WINDOW) {
            first = Math.max(length - format / WINDOW, 0);
        }
        return first;
    }

    /**
     * Sets a number of a cache that is in one of two arrays. It is compared first because TornadoVM copies to the device only what a
     * kernel reads: the rest of the cache must get there.
     */
    public static void put(FloatArray k32, HalfFloatArray k16, int binary16, int at, float value) {
        if (binary16 == 1) {
            if (k16.get(at).getFloat32() != value) {
                k16.set(at, new HalfFloat(value));
            }
        } else {
            if (k32.get(at) != value) {
                k32.set(at, value);
            }
        }
    }

    /** A number of a cache that is in one of two arrays. */
    public static float element(FloatArray k32, HalfFloatArray k16, int binary16, int at) {
        float value;
        if (binary16 == 1) {
            value = k16.get(at).getFloat32();
        } else {
            value = k32.get(at);
        }
        return value;
    }

    /**
     * Copies staged tokens into the cache. One thread an element of the wider of k and v: (rows, Hkv, max(D,Dv)).
     *
     * @param target per staged row the cache's row for its first head, or -1 for none
     * @param stagedK32 (rows,Hkv,D), likewise the others, in the cache's type
     * @param sizes staged rows, rows of a sequence in the cache, key/value heads
     */
    public static void append(KernelContext context, IntArray target, FloatArray stagedK32, HalfFloatArray stagedK16,
            FloatArray stagedV32, HalfFloatArray stagedV16, FloatArray k32, HalfFloatArray k16, FloatArray v32, HalfFloatArray v16,
            IntArray sizes, int binary16, int dim, int valueDim) {
        int width = Math.max(dim, valueDim);
        int kvHeads = divisor(sizes.get(2));
        int row = context.globalIdx / width / kvHeads;
        int kvHead = context.globalIdx / width % kvHeads;
        int d = context.globalIdx % width;
        if (row < sizes.get(0)) {
            int first = target.get(row);
            if (first >= 0) {
                int to = first + kvHead * sizes.get(1);
                int from = row * kvHeads + kvHead;
                // compared first because TornadoVM copies to the device only what a kernel reads: the rest of the cache must get there
                if (d < dim) {
                    int at = index(to, d, dim);
                    if (binary16 == 1) {
                        if (k16.get(at).getFloat32() != stagedK16.get(from * dim + d).getFloat32()) {
                            k16.set(at, stagedK16.get(from * dim + d));
                        }
                    } else {
                        if (k32.get(at) != stagedK32.get(from * dim + d)) {
                            k32.set(at, stagedK32.get(from * dim + d));
                        }
                    }
                }
                if (d < valueDim) {
                    int at = index(to, d, valueDim);
                    if (binary16 == 1) {
                        if (v16.get(at).getFloat32() != stagedV16.get(from * valueDim + d).getFloat32()) {
                            v16.set(at, stagedV16.get(from * valueDim + d));
                        }
                    } else {
                        if (v32.get(at) != stagedV32.get(from * valueDim + d)) {
                            v32.set(at, stagedV32.get(from * valueDim + d));
                        }
                    }
                }
            }
        }
    }
}
