package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Where the rows of a tensor lie in its array, as data: row i of head h of batch entry b is D or Dv elements from start +
 * b batchStride + h headStride + i rowStride on. Kernels read it once; what depends on {@link Masking#STRIDED} is a constant of
 * theirs, so that row-major tensors take no code of it.
 */
public final class Views {
    // the tensors
    public static final int Q = 0;
    public static final int K = 1;
    public static final int V = 2;
    public static final int O = 3;
    public static final int G = 4;
    public static final int DQ = 5;
    public static final int DK = 6;
    public static final int DV = 7;
    public static final int COUNT = 8;
    // of each: start, stride of batch entries, of heads, of rows
    static final int NUMBERS = 4;

    private Views() {}

    /** Sets where a tensor lies. */
    public static void set(IntArray sizes, int view, int start, int batchStride, int headStride, int rowStride) {
        int at = ProblemData.VIEWS + view * NUMBERS;
        sizes.set(at, start);
        sizes.set(at + 1, batchStride);
        sizes.set(at + 2, headStride);
        sizes.set(at + 3, rowStride);
    }

    /** Where the first row of query head {@code head} lies, of B H. */
    public static int queryHead(IntArray sizes, int view, int head, int rows, int width, int flags) {
        return head(sizes, view, head, ProblemData.BATCH_HEADS, rows, width, flags);
    }

    /** Where the first row of key/value head {@code head} lies, of B Hkv. */
    public static int keyHead(IntArray sizes, int view, int head, int rows, int width, int flags) {
        return head(sizes, view, head, ProblemData.BATCH_KV_HEADS, rows, width, flags);
    }

    /** Where row {@code row} of B H Sq lies. */
    public static int row(IntArray sizes, int view, int row, int rows, int width, int flags) {
        int at = row * width;
        if ((flags & Masking.STRIDED) != 0) {
            at = queryHead(sizes, view, row / rows, rows, width, flags) + row % rows * rowStride(sizes, view, width, flags);
        }
        return at;
    }

    private static int head(IntArray sizes, int view, int head, int heads, int rows, int width, int flags) {
        int at;
        if ((flags & Masking.STRIDED) != 0) {
            int numbers = ProblemData.VIEWS + view * NUMBERS;
            int count = sizes.get(heads);
            at = sizes.get(numbers) + head / count * sizes.get(numbers + 1) + head % count * sizes.get(numbers + 2);
        } else {
            at = head * rows * width;
        }
        return at;
    }

    /**
     * Where row 0 of a head lies to loops that count rows from {@link #rowZero}: a row's place is then a start, which is 0 where tensors are
     * row-major, and a multiple of the stride. LLVM puts a sum of three numbers in another order, and then adds anew for each element.
     *
     * @param head0 where the head's first row lies
     */
    public static int start(int head0, int flags) {
        int at = 0;
        if ((flags & Masking.STRIDED) != 0) {
            at = head0;
        }
        return at;
    }

    /** Number of the first row of a head of so many rows, counted from {@link #start}. */
    public static int rowZero(int head, int rows, int flags) {
        int row = head * rows;
        if ((flags & Masking.STRIDED) != 0) {
            row = 0;
        }
        return row;
    }

    /** From one row to the next. */
    public static int rowStride(IntArray sizes, int view, int width, int flags) {
        int stride = width;
        if ((flags & Masking.STRIDED) != 0) {
            stride = sizes.get(ProblemData.VIEWS + view * NUMBERS + 3);
        }
        return stride;
    }

    /**
     * Where row i of a block lies, so that no more is kept for tensors that are row-major than for the others.
     *
     * @param start where the block's first row lies, if it is strided
     * @param row0 that row's number, if it is not
     */
    public static int at(int start, int stride, int row0, int i, int width, int flags) {
        int at = (row0 + i) * width;
        if ((flags & Masking.STRIDED) != 0) {
            at = start + i * stride;
        }
        return at;
    }

    /** An element of q or v, or, with {@link Masking#PACKED}, of the array that holds k too. */
    public static float get(FloatArray a, FloatArray k, int at, int flags) {
        float value;
        if ((flags & Masking.PACKED) != 0) {
            value = k.get(at);
        } else {
            value = a.get(at);
        }
        return value;
    }
}
