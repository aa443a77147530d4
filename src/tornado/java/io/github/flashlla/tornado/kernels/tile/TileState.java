package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What the tile kernels keep of each row between passes, in one array of floats, and how they divide a problem among groups of 4
 * warps, 16 rows a warp. For rows = B H Sq and dims = a head dim padded to 64, 96 or 128:
 *
 * <pre>
 *   r (rows, dims)  A q (rows, dims)  x (rows, dims)  kbar (rows, dims)  y (rows, dims / 2) as pairs of float16
 *   numbers (rows, 16): r.r, iterations, length of y, the largest r.r so far; of forward r.r over that of the iteration before, the least and
 *     the largest of the steps along directions that begin with r, what times q x starts as; the r.r to reach, q.A q, b.b,
 *     of backward Gbar; exponent's reference, -y.kbar
 *   list (rows): rows left over, of each head, in order   left (B H blocks): their number in each block   count (B H)
 * </pre>
 *
 * <p>Forward's x is in the result itself where rows are not padded. What it starts as is written where a row takes no iteration; else
 * the first one makes it of q. Backward solves for u in place of x, without a first step: q.A q is 0 then, and A q
 * is not written.
 */
public final class TileState {
    public static final int THREADS = 128;
    /** Rows of a group. */
    public static final int BLOCK = 64;

    // in sizes
    public static final int HEADS = 0;
    public static final int GROUP = 1;
    public static final int SQ = 2;
    public static final int SK = 3;
    public static final int PADDED_SK = 4;
    public static final int CAUSAL = 5;
    public static final int MAX_ITERATIONS = 6;
    public static final int SIZES = 7;

    // in settings
    public static final int SCALE = 0;
    public static final int TOLERANCE = 1;
    public static final int SETTINGS = 2;

    // of a row's numbers, those of an iteration by four
    public static final int RR = 0;
    public static final int COUNT = 1;
    public static final int LENGTH = 2;
    public static final int LARGEST = 3;
    public static final int RATIO = 4;
    public static final int LEAST = 5;
    public static final int MOST = 6;
    public static final int FIRST = 7;
    public static final int TARGET = 8;
    public static final int QAQ = 9;
    public static final int BB = 10;
    public static final int GBAR = 11;
    public static final int REFERENCE = 12;
    public static final int YKBAR = 13;
    public static final int NUMBERS = 16;

    /** Of y, so that p y.k stays within float16 for keys up to 128 from their mean. */
    public static final float DIRECTION_LENGTH = 8f;

    /**
     * b longer than this many roots of the ridge counts as that long when its row's residual is held against the tolerance: o is off by at
     * most ||r|| sd(v) / (2 sqrt ridge), however long b is. Simulated with q 20 times larger, 0.15 iterations more make the error 2.4e-2 at tolerance
     * 1e-2 one of 9e-4.
     */
    private static final float LONGEST_B = 16f;
    /** What float16 weights leave of the largest residual on the way, which the recurrence does not see: root mean square. */
    private static final float ROUNDING = 0x1p-12f;
    /** That, relative to b, or to how long b counts, from which a row's error may pass 5e-3. */
    private static final float LARGE_ROUNDING = 8e-3f;
    /** Squares below this are 0: no direction is made of them. */
    private static final float SMALLEST = 1e-30f;
    /** Of the root mean square, so that few rows are off by more. */
    private static final float BOUND = 2f;

    private TileState() {}

    /** r.r with which a row of forward is solved. */
    public static float target(float bb, float ridge, float tolerance) {
        return Math.max(SMALLEST, tolerance * tolerance * counts(bb, ridge));
    }

    /** b.b as it counts in {@link #target}. */
    public static float counts(float bb, float ridge) {
        return Math.min(bb, LONGEST_B * LONGEST_B * ridge);
    }

    /** The same of backward, whose u meets x: tighter for a long b, from half of forward's length on. */
    public static float targetOfGradient(float cc, float bb, float ridge, float tolerance) {
        return Math.max(SMALLEST, tolerance * tolerance * cc * Math.min(1f, LONGEST_B * LONGEST_B / 4f * ridge / Math.max(bb, SMALLEST)));
    }

    /**
     * A row's relative residual, as it is reported: the recurrence's; or a bound of what rounding left, where that is so much that
     * the row is not solved.
     *
     * @param reference what r.r is held against to tell how much rounding left
     */
    public static float residual(FloatArray scratch, int numbers, float reference) {
        float bb = scratch.get(numbers + BB);
        float residual = 0f;
        if (bb > SMALLEST) {
            float left = ROUNDING * TornadoMath.sqrt(scratch.get(numbers + LARGEST) / reference);
            residual = Math.max(TornadoMath.sqrt(scratch.get(numbers + RR) / bb), left > LARGE_ROUNDING ? BOUND * left : 0f);
        }
        return residual;
    }

    /** Whether a row is not done: 1 or 0. */
    public static int goesOn(FloatArray scratch, int numbers, int most) {
        return scratch.get(numbers + RR) <= scratch.get(numbers + TARGET) || scratch.get(numbers + COUNT) >= most ? 0 : 1;
    }

    /** Where a row went on: its r.r, the largest so far, iterations and length of y. */
    public static void keep(FloatArray scratch, int numbers, float rr, int count, float length, int goesOn) {
        if (goesOn != 0) {
            scratch.set(numbers + RR, rr);
            scratch.set(numbers + LARGEST, Math.max(rr, scratch.get(numbers + LARGEST)));
            scratch.set(numbers + COUNT, count);
            scratch.set(numbers + LENGTH, length);
        }
    }

    /** The sizes of a problem, as the tile kernels take them. */
    public static IntArray sizes(AttentionShape s, LlaOptions options) {
        return IntArray.fromElements(s.batch() * s.heads(), s.group(), s.queryLength(), s.keyLength(), (int) paddedKeys(s.keyLength()),
                options.causal() ? 1 : 0, options.maxIterations());
    }

    /** Padded head dim. */
    public static int dims(int D) {
        return D <= 64 ? 64 : D <= 96 ? 96 : 128;
    }

    /** Keys of a tile. */
    public static int keys(int dims) {
        return dims <= 64 ? 64 : 32;
    }

    /** Floats of scratch for so many heads of so many rows. */
    public static long scratchFloats(long heads, long Sq, int dims) {
        return heads * Sq * (4L * dims + dims / 2 + NUMBERS + 1) + heads * (Math.ceilDiv(Sq, (long) BLOCK) + 1);
    }

    /** float16 elements of packed keys and values. */
    public static long packedHalves(long kvHeads, long Sk, int D, int Dv) {
        return TilePieces.FIRST + kvHeads * paddedKeys(Sk) * (TilePieces.stride(dims(D)) + TilePieces.stride(dims(Dv)));
    }

    /** Keys with those that fill the last tile. */
    public static long paddedKeys(long Sk) {
        return Math.ceilDiv(Sk, 64L) * 64;
    }

    public static int numbersAt(int rows, int dims) {
        return rows * (4 * dims + dims / 2);
    }

    public static int listAt(int rows, int dims) {
        return numbersAt(rows, dims) + NUMBERS * rows;
    }

    public static int leftAt(int rows, int dims) {
        return listAt(rows, dims) + rows;
    }

    /** Keys that row {@code i} of a head sees. */
    public static int sees(int i, int Sq, int Sk, int causal) {
        return causal != 0 ? Math.max(0, Math.min(Sk, i + 1 + Sk - Sq)) : Sk;
    }
}
