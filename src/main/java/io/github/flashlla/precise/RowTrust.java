package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import java.util.BitSet;
import java.util.function.IntToDoubleFunction;
import java.util.function.IntUnaryOperator;

/**
 * How far float32 carries each query, and which queries it does not carry.
 *
 * <p>x has size ||b|| / ridge along directions that no key spans, where x.k and x.kbar are equal and large: their difference
 * loses eps ||x|| ||k||. That goes into A x as eps ||x|| ||k||^2, averaged over the keys that share the weight, and into o as
 * it is. A score is off by eps |scale| ||q|| ||k||, and so is its weight.
 */
final class RowTrust {
    private static final double EPS = 0x1p-24;
    private static final double HALF_EPS = 0x1p-11;
    /** Largest relative error of o that is left to float32: a quarter of the bar of 1e-4, or of a tolerance above it. */
    private static final double OUTPUT_BAR = 2.5e-5;
    /**
     * Largest relative error of o that a query's solve may leave, as its check estimates it, which is ten times too much as a
     * rule: twice the bar of 1e-4, and as many times a tolerance above 1e-5.
     */
    private static final double SOLVE_BAR = 2e-4;
    private static final double SOLVE_TOLERANCES = 20;
    /**
     * The most of float16 products, however large the tolerance: their x solves a problem of rounded keys and values, and the given ones may
     * make something else of it.
     */
    private static final double MOST_OF_HALF = 2e-2;
    private static final int FEW_KEYS = 4;
    /** A ridge this many times ||k||^2 leaves float32 the slopes of few keys, to eps / this. */
    private static final double ORDINARY_RIDGE = 0x1p-9;
    /** Largest relative error of dq, and of dridge, that is left to float32, or the tolerance above it. */
    private static final double GRADIENT_BAR = 1e-4;
    /** Largest error of the slopes x.(k - kbar), which dk and dv are linear in, that is left to float32. It is a bound, ten times too much as a rule. */
    private static final double SLOPE_BAR = 1e-3;
    /** Roundings that add up along directions which no key spans. */
    private static final double ROUNDINGS = 8;
    /** C x below this many residuals may be one. */
    private static final double HIDDEN = 4;
    /** A ridge this many times a key's variance in one direction makes x nearly b / ridge. */
    private static final double LARGE_RIDGE = 16;
    private static final double NEARLY_ONE = 1.03;
    /** Squares of smaller or larger numbers leave float32's range. */
    private static final double SMALLEST = 0x1p-50;
    private static final double LARGEST = 0x1p50;
    /** Right sides below this have squares that float32 holds with few digits, and 1e-10 of which it does not hold at all. */
    private static final double SMALLEST_RIGHT_SIDE = 0x1p-40;
    /** A residual below this is none that float32's rounding leaves: there was nothing to solve, or the square of the right side is lost. */
    private static final float NOTHING_LEFT = 0x1p-40f;
    /** Rows that one thread judges at a time: words of 64 bits are never shared. */
    private static final int JUDGED_TOGETHER = 1 << 12;
    /** A verdict takes as long as this many elements. */
    private static final int ELEMENTS_A_VERDICT = 16;
    /** So does a norm that another processor has computed. */
    private static final int ELEMENTS_A_NORM = 4;
    /** Of a head's rows, as many as are judged sooner together than one by one. */
    private static final int WORTH_A_LOOK = 8;

    private final AttentionShape shape;
    private final Tensor q;
    private final Ridges ridges;
    private final LlaOptions options;
    private final double scale;
    private final double[] keySize;
    private final double querySize;
    private final IntUnaryOperator visible;
    /** Root mean square of ||o_i|| over the queries. */
    private double typical;
    private final BitSet lost = new BitSet();
    private final BitSet outOfRange = new BitSet();

    /**
     * @param largestQuery largest element of q
     * @param keySize largest ||k_j - mean|| of each key/value head (B,Hkv)
     */
    RowTrust(LlaInputs inputs, LlaOptions options, double largestQuery, double[] keySize) {
        this(inputs.shape(), inputs.q(), largestQuery, Ridges.of(inputs, options), options, keySize, visibleKeys(inputs.shape(), options));
    }

    private static IntUnaryOperator visibleKeys(AttentionShape shape, LlaOptions options) {
        return row -> shape.seenKeys(row % shape.queryLength(), options);
    }

    /**
     * @param keySize largest ||k|| of each key/value head (B,Hkv)
     * @param visible keys that a query sees, no fewer than the query before it in its head
     */
    RowTrust(AttentionShape shape, Tensor q, double largestQuery, Ridges ridges, LlaOptions options, double[] keySize, IntUnaryOperator visible) {
        this.shape = shape;
        this.q = q;
        this.ridges = ridges;
        this.options = options;
        this.scale = Math.abs(options.scaleFor(shape.headDim()));
        this.keySize = keySize;
        this.querySize = largestQuery * Math.sqrt(shape.headDim());
        this.visible = visible;
    }

    /** Conjugate gradients stop early enough that the recurrence's residual and the rounding of an ordinary problem stay within the tolerance. */
    static LlaOptions tightened(LlaOptions options, int headDim) {
        return options.withTolerance(options.tolerance() - reserve(options, headDim));
    }

    /** What of the tolerance is left to rounding. */
    private static double reserve(LlaOptions options, int headDim) {
        double keys = Math.sqrt(headDim) / Math.abs(options.scaleFor(headDim)); // ||k||^2 where scores are about 1
        return Math.min(options.tolerance() / 4, EPS * (1 + 4 * keys / options.ridge()));
    }

    private double outputBar() {
        return Math.max(OUTPUT_BAR, options.tolerance() / 4);
    }

    /** Whether no row can be in doubt, whatever x is: ||x|| is at most ||b|| / ridge. */
    boolean allCarried() {
        double key = 0;
        for (double size : keySize) {
            key = Math.max(key, size);
        }
        double ridge = ridges.smallest();
        double x = (key + querySize) / ridge;
        return key > SMALLEST && key < LARGEST && ridge < LARGEST && ridge > SMALLEST && RoundingBound.ofResidual(1 / ridge, key, 1) <= reserve(options, shape.headDim())
                && RoundingBound.ofOutput(x, key, scale * querySize * key) <= outputBar();
    }

    /**
     * Raises residuals by what rounding adds, estimates each output's error, and lists the queries that float32 does not carry.
     *
     * @param sizes null where {@link #allCarried}
     * @param outputNorms ||o_i||; null to compute them
     */
    BitSet judge(LlaResult result, SolveSizes sizes, double[] outputNorms) {
        int rows = result.residual().length;
        double[] norms = outputNorms == null ? Magnitude.rowNorms(result.output(), shape.valueDim()) : outputNorms;
        double[] queries = sizes == null ? null : Magnitude.rowNorms(q, shape.headDim());
        typical = Math.sqrt(sumOfSquares(norms) / Math.max(1, rows));
        long[] doubtful = new long[Math.ceilDiv(rows, Long.SIZE)];
        long[] beyond = new long[doubtful.length];
        long[] leftRange = new long[doubtful.length];
        forEachPart(rows, (from, end, key) -> {
            Ordinary ordinary = sizes == null && ridges.perQuery() == null && end - from >= WORTH_A_LOOK ? new Ordinary(key) : null;
            int several = from; // no query of a head sees fewer keys than the one before it
            while (several < end && visible.applyAsInt(several) <= 1) {
                several++;
            }
            for (int row = from; row < end; row++) {
                if (ordinary != null && row >= several && ordinary.holds(row, result, norms[row])) {
                    continue;
                }
                int verdict = judge(row, key, result, sizes, norms[row], queries == null ? querySize : queries[row]);
                int word = row / Long.SIZE;
                doubtful[word] |= (long) (verdict & 1) << row;
                beyond[word] |= (long) (verdict >> 1 & 1) << row;
                leftRange[word] |= (long) (verdict >> 2) << row;
            }
        });
        lost.or(BitSet.valueOf(beyond));
        outOfRange.or(BitSet.valueOf(leftRange));
        return BitSet.valueOf(doubtful);
    }

    /**
     * What {@link #judge(int, double, LlaResult, SolveSizes, double, double)} does with most rows that see several keys, where a head's queries have
     * bounds and ridge in common, computed once.
     */
    private final class Ordinary {
        private final double bound;
        /** Relative error of o. */
        private final double error;
        private final double most;

        Ordinary(double key) {
            double b = key + querySize;
            double x = b / ridges.shared();
            bound = RoundingBound.ofResidual(x, key, b);
            double rounding = RoundingBound.ofOutput(x, key, scale * querySize * key);
            error = rounding + halfError(0, null);
            boolean carried = bound <= options.tolerance() / 4 + EPS && rounding <= outputBar() && Double.isFinite(x);
            most = carried ? options.tolerance() : -1;
        }

        /** False where the row has to be judged by itself. */
        boolean holds(int row, LlaResult result, double norm) {
            float recurrence = result.residual()[row];
            double residual = recurrence + bound;
            if (!(residual <= most && norm <= Double.MAX_VALUE)) {
                return false;
            }
            result.recurrenceResidual()[row] = recurrence;
            result.residual()[row] = (float) residual;
            result.roundingError()[row] = (float) (error * Math.max(norm, typical));
            return true;
        }
    }

    private static double sumOfSquares(double[] norms) {
        double[] sums = new double[Math.ceilDiv(norms.length, JUDGED_TOGETHER)];
        Magnitude.indices(sums.length, norms.length * (long) ELEMENTS_A_NORM).forEach(part -> {
            int begin = part * JUDGED_TOGETHER;
            int end = Math.min(norms.length, begin + JUDGED_TOGETHER);
            double sum = DoubleLoops.dot(norms, begin, norms, begin, end - begin);
            if (!Double.isFinite(sum)) {
                sum = 0;
                for (int row = begin; row < end; row++) {
                    sum += Double.isFinite(norms[row]) ? norms[row] * norms[row] : 0;
                }
            }
            sums[part] = sum;
        });
        double sum = 0;
        for (double part : sums) {
            sum += part;
        }
        return sum;
    }

    /** One row's part of {@link #judge(LlaResult, SolveSizes, double[])}: 1 where it is in doubt, 2 more where it is lost, 4 more where it left the range. */
    private int judge(int row, double key, LlaResult result, SolveSizes sizes, double norm, double query) {
        float recurrence = result.residual()[row];
        result.recurrenceResidual()[row] = recurrence;
        int visible = this.visible.applyAsInt(row);
        double x = sizes == null ? (key + querySize) / ridges.of(row) : sizes.x()[row];
        double b = sizes == null ? key + querySize : sizes.b()[row];
        double averaged = sizes == null ? 1 : Math.min(1, 2 / Math.sqrt(sizes.effectiveKeys()[row]));
        boolean exact = visible == 0 || visible == 1 && recurrence == 0 && result.iterations()[row] == 0; // o is that value
        double bound = b == 0 || exact ? 0 : RoundingBound.ofResidual(x * averaged, key, b);
        double error = exact ? EPS : RoundingBound.ofOutput(x, key, scale * query * key);
        result.residual()[row] = (float) (recurrence + bound);
        result.roundingError()[row] = (float) ((error + (exact ? 0 : halfError(row, sizes))) * Math.max(norm, typical));
        boolean finite = Double.isFinite(norm) && Float.isFinite(recurrence) && Double.isFinite(x) && Double.isFinite(b);
        boolean lifted = recurrence <= options.tolerance() && recurrence + bound > options.tolerance();
        int iterations = result.iterations()[row]; // 0: a direct solve
        boolean capped = recurrence > options.tolerance() && iterations >= options.maxIterations()
                && iterations < Math.min(shape.headDim(), visible);
        boolean stuck = recurrence > options.tolerance() && !capped;
        boolean leftRange = !exact && sizes != null && (outOfRange(b) || outOfRange(x) || outOfRange(key) || outOfRange(ridges.of(row)));
        boolean inDoubt = lifted || leftRange || bound > options.tolerance() / 4 + EPS || error > outputBar();
        boolean beyond = !finite || !capped && stuck;
        if (visible > 0 && (beyond || !capped && inDoubt)) { // what the cap ended stays as it is
            return 1 | (beyond ? 2 : 0) | (leftRange ? 4 : 0);
        }
        return 0;
    }

    /**
     * Relative error of o by float16's weights p (1 - x.(k - kbar)): their mean square is 1 + x.Cx, C = A - ridge I, of values that float16's
     * rounding changes independently. What it does to the solve is in the residual that the device reports.
     *
     * @param sizes null for ordinary ones, whose o is about as large as the root of that
     */
    private double halfError(int row, SolveSizes sizes) {
        if (options.precision() != DataType.FLOAT16) {
            return 0;
        }
        double slopes = sizes == null ? 0 : Math.max(0, sizes.xb()[row] - ridges.of(row) * sizes.x()[row] * sizes.x()[row]);
        return HALF_EPS * (1 + Math.sqrt(slopes / (sizes == null ? 1 : sizes.effectiveKeys()[row])));
    }

    /** Of the queries that {@link #judge} listed, those whose solution is worth no check. */
    BitSet lost() {
        return lost;
    }

    /** Whether a query may keep its x, which a check in float64 has looked at: solved, and o not far off for what is left. */
    boolean holds(DoubleRow row) {
        double bar = Math.max(SOLVE_BAR, SOLVE_TOLERANCES * options.tolerance());
        bar = options.precision() == DataType.FLOAT16 ? Math.min(bar, MOST_OF_HALF) : bar;
        return row.residual <= options.tolerance() && row.solveError <= bar * Math.max(row.outputSize, typical);
    }

    /** Whether float32 carries the second solve and the slopes of a query whose first one holds; {@link #cancelling} has further reasons why not. */
    boolean carriesGradients(int index, DoubleRow row) {
        return !outOfRange.get(index) && EPS * row.spread <= options.tolerance() / 4
                && EPS * row.slopeRounding <= Math.max(SLOPE_BAR, options.tolerance());
    }

    /**
     * Queries whose gradients are small differences: one key has nearly all of the weight, few keys are seen beside a small ridge, or most
     * of x lies outside the span of keys, so that u.x cancels. Of a query that sees one key o is exact, but dv and dk have its slope
     * x.(k - kbar), a 0 that is the difference of two large numbers.
     */
    BitSet cancelling(SolveSizes sizes) {
        int rows = sizes.effectiveKeys().length;
        long[] cancelling = new long[Math.ceilDiv(rows, Long.SIZE)];
        forEachPart(rows, (from, end, key) -> {
            for (int row = from; row < end; row++) {
                int seen = visible.applyAsInt(row);
                if (seen == 1 && losesSlope(row, key, sizes)
                        || seen > 1 && (seen <= FEW_KEYS && strained(row, key) || sizes.effectiveKeys()[row] < NEARLY_ONE || outside(row, key, sizes))) {
                    cancelling[row / Long.SIZE] |= 1L << row;
                }
            }
        });
        return BitSet.valueOf(cancelling);
    }

    /**
     * Whether the right side of a query's second solve, a sum of (g.v) (k - kbar), is not 0 but so small beside others' that float32 lost it: u is 0 then, and the
     * residual, too.
     *
     * @param residual of that solve
     * @param g dL/do of all queries
     * @param valueSize largest ||v|| of a key/value head (B,Hkv)
     */
    boolean losesRightSide(int row, float residual, Tensor g, IntToDoubleFunction valueSize) {
        if (!(residual < NOTHING_LEFT) || visible.applyAsInt(row) < 2) {
            return false;
        }
        int width = shape.valueDim();
        double[] own = DoubleRows.values(g, (long) row * width, width);
        int kvHead = shape.kvHeadOf(row);
        double size = DoubleLoops.norm(own) * keySize[kvHead];
        return size > 0 && size < Double.MAX_VALUE && size * valueSize.applyAsDouble(kvHead) < SMALLEST_RIGHT_SIDE;
    }

    /** Verdicts on rows of one head, whose largest key is {@code key} long. */
    private interface Judge {
        void of(int from, int end, double key);
    }

    /** Judges rows side by side: none of two threads has a row in another's word of 64. */
    private void forEachPart(int rows, Judge judge) {
        Magnitude.indices(Math.ceilDiv(rows, JUDGED_TOGETHER), rows * (long) ELEMENTS_A_VERDICT).forEach(part -> {
            int end = Math.min(rows, (part + 1) * JUDGED_TOGETHER);
            int headEnd;
            for (int row = part * JUDGED_TOGETHER; row < end; row = headEnd) {
                headEnd = (int) Math.min(end, (row / shape.queryLength() + 1L) * shape.queryLength());
                judge.of(row, headEnd, keySize[shape.kvHeadOf(row)]);
            }
        });
    }

    private boolean losesSlope(int row, double key, SolveSizes sizes) {
        return !(EPS * sizes.x()[row] * key <= Math.max(GRADIENT_BAR, options.tolerance()));
    }

    private boolean strained(int row, double key) {
        return !(ridges.of(row) >= ORDINARY_RIDGE * key * key);
    }

    /**
     * Whether the part of u outside the span of keys, which is 0 but for rounding, matters to dridge = -u.x.
     *
     * <p>With C = A - ridge I, whose image is that span, C x = b - ridge x. Its part x' of x is about x.C x / ||C x|| long, and keys'
     * variance along it about ||C x||^2 / x.C x. Rounding leaves eps ||u|| outside, which meets ||x||, and u.x is about ||u|| ||x'||.
     * Steps of a preconditioned solve leave the span, so that its residual, the tolerance times ||c||, stays outside, too:
     * c is about (variance + ridge) u. What is found of C x is off by the first solve's residual: at tolerances that may hide it,
     * nothing is told from it.
     */
    private boolean outside(int row, double key, SolveSizes sizes) {
        double ridge = ridges.of(row);
        if (!(ridge < LARGE_RIDGE * key * key / shape.headDim())) {
            return false;
        }
        double x = sizes.x()[row];
        double b = sizes.b()[row];
        double xb = sizes.xb()[row];
        double xCx = xb - ridge * x * x;
        double cx = Math.sqrt(Math.max(0, b * b - 2 * ridge * xb + ridge * ridge * x * x));
        if (options.tolerance() > GRADIENT_BAR && cx <= HIDDEN * options.tolerance() * b) {
            return false;
        }
        double left = ROUNDINGS * EPS;
        if (options.preconditioner() == Preconditioner.JACOBI) {
            left += options.tolerance() * (1 + cx * cx / (xCx * ridge));
        }
        double bar = Math.max(GRADIENT_BAR, options.tolerance());
        return x > 0 && !(xCx > 0 && left * x * cx <= bar * xCx);
    }

    private static boolean outOfRange(double size) {
        return !(size > SMALLEST && size < LARGEST);
    }
}
