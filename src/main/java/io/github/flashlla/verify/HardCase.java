package io.github.flashlla.verify;

import static io.github.flashlla.verify.ProblemDraft.pick;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Sequences;
import io.github.flashlla.verify.ProblemDraft.View;
import io.github.flashlla.verify.RandomProblem.Family;
import io.github.flashlla.verify.RandomProblem.Mode;
import io.github.flashlla.verify.RandomProblem.Twin;
import java.util.Locale;
import java.util.Random;

/**
 * Kinds of problems that a program of this kind gets wrong, or that this one did. Chance alone brings some of them too seldom, so a run of random problems has each of
 * them by turns; what does not make a kind hard is drawn.
 */
enum HardCase {
    /** o of a query that sees one key is that value, but dv and dk have its slope, a 0 that is the difference of two large numbers. */
    ONE_KEY((random, dims, draft) -> {
        draft.causal = true;
        int keys = random.nextInt(3) == 0 ? 1 : 1 + random.nextInt(20);
        draft.shape = one(random, keys, keys, dims.wide);
        draft.ridge = power(random, -6, -2);
    }),
    /** Fewer keys than dims: x is long outside their span. */
    FEW_KEYS((random, dims, draft) -> {
        int keys = 2 + random.nextInt(Math.min(30, dims.wide - 1));
        draft.causal = random.nextInt(3) > 0;
        draft.shape = one(random, draft.causal ? keys : 1 + random.nextInt(12), keys, dims.wide);
        draft.ridge = power(random, -6, 0);
    }),
    FEW_KEYS_DECODED((random, dims, draft) -> {
        decode(random, draft, 1 + random.nextInt(20), dims.wide);
        draft.ridge = power(random, -6, 0);
    }),
    /** A = ridge I. */
    IDENTICAL_KEYS((random, dims, draft) -> {
        draft.family = Family.IDENTICAL_KEYS;
        draft.shape = one(random, 1 + random.nextInt(12), 12 + random.nextInt(60), dims.any(random));
        draft.ridge = power(random, -5, 1);
    }),
    REPEATED_KEYS((random, dims, draft) -> {
        draft.family = Family.REPEATED_KEYS;
        draft.shape = one(random, 1 + random.nextInt(20), 20 + random.nextInt(100), dims.wide);
        draft.ridge = power(random, -6, 0);
    }),
    LOW_RANK((random, dims, draft) -> {
        draft.family = Family.LOW_RANK;
        draft.shape = one(random, 1 + random.nextInt(12), 40 + random.nextInt(120), dims.wide);
        draft.ridge = power(random, -5, 0);
    }),
    /** One key has nearly all of the weight. */
    PEAKED((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.narrow);
        draft.scale = power(random, 0.3, 1.5) / Math.sqrt(dims.narrow);
        draft.ridge = power(random, -3, 1);
    }),
    /** Up to 1e4. */
    LARGE_SCORES((random, dims, draft) -> {
        draft.mode = pick(random, Mode.FORWARD, Mode.GRADIENTS, Mode.DECODE);
        draft.shape = one(random, draft.mode == Mode.DECODE ? 1 : 1 + random.nextInt(24), 24 + random.nextInt(40), dims.wide);
        draft.scale = sign(random) * power(random, 1.5, 3.5) / Math.sqrt(dims.wide);
    }),
    /** What a mask sets lowest becomes highest. */
    NEGATIVE_SCALE((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.any(random));
        draft.scale = -(0.2 + 2 * random.nextDouble()) / Math.sqrt(draft.shape.headDim());
    }),
    LARGE_QUERIES((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.narrow);
        draft.querySize = power(random, 0.5, 2);
        draft.ridge = power(random, -1, 1);
    }),
    SHIFTED_KEYS((random, dims, draft) -> {
        draft.family = Family.SHIFTED;
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.narrow);
        draft.shift = power(random, 0.5, 2);
    }),
    LONG_AND_SHORT_KEYS((random, dims, draft) -> {
        draft.family = Family.HEAVY_TAILS;
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.any(random));
        draft.ridge = power(random, -2, 1);
    }),
    /** Keys and queries in other units, the ridge with them. */
    UNITS((random, dims, draft) -> {
        draft.family = Family.UNITS;
        draft.shape = several(random, 1 + random.nextInt(16), 16 + random.nextInt(30), dims.any(random));
        draft.ridge = power(random, -2, 2);
        draft.units(random);
    }),
    /** The same beside a ridge of 1. */
    KEYS_OF_ANY_SIZE((random, dims, draft) -> {
        draft.family = Family.KEYS_OF_ANY_SIZE;
        draft.shape = several(random, 1 + random.nextInt(16), 16 + random.nextInt(30), dims.narrow);
        draft.units(random);
    }),
    /** Squares of the products of v and g are below float32's range. */
    TINY_LOSS((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(16), 16 + random.nextInt(30), dims.narrow);
        draft.valueSize = Math.scalb(1.0, -random.nextInt(30));
        draft.lossSize = Math.scalb(1.0, -70 - random.nextInt(20));
    }),
    /** They are beyond it. */
    HUGE_LOSS((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(16), 16 + random.nextInt(30), dims.narrow);
        draft.valueSize = Math.scalb(1.0, random.nextInt(30));
        draft.lossSize = Math.scalb(1.0, 60 + random.nextInt(30));
    }),
    SMALL_RIDGE((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(12), 40 + random.nextInt(100), dims.narrow);
        draft.ridge = power(random, -8, -3);
    }),
    /** Softmax attention, nearly. */
    LARGE_RIDGE((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.any(random));
        draft.ridge = power(random, 2, 6);
    }),
    /** Over many powers of ten. */
    RIDGE_PER_QUERY((random, dims, draft) -> {
        draft.shape = several(random, 2 + random.nextInt(24), 26 + random.nextInt(60), dims.any(random));
        draft.ridged = true;
        draft.ridge = power(random, -3, -1);
        draft.ridgeSpread = 1 + 3 * random.nextDouble();
    }),
    /** More keys than queries, neither a multiple of a tile. */
    CAUSAL_OFFSET((random, dims, draft) -> {
        draft.causal = true;
        int queries = 1 + random.nextInt(70);
        draft.shape = several(random, queries, queries + 1 + random.nextInt(70), dims.narrow);
    }),
    /** Causal, with more queries than keys: the first see none. */
    NO_KEY((random, dims, draft) -> {
        draft.causal = true;
        int keys = 1 + random.nextInt(40);
        draft.shape = several(random, keys + 1 + random.nextInt(40), keys, dims.any(random));
    }),
    NO_MASK((random, dims, draft) -> {
        draft.causal = false;
        draft.shape = several(random, 1 + random.nextInt(70), 1 + random.nextInt(70), dims.narrow);
    }),
    WINDOW((random, dims, draft) -> {
        draft.causal = true;
        int queries = 1 + random.nextInt(70);
        draft.shape = several(random, queries, queries + random.nextInt(70), dims.narrow);
        draft.window = 4 + random.nextInt(draft.shape.keyLength());
    }),
    /** Few keys in the window: none but the own one, at the least. */
    NARROW_WINDOW((random, dims, draft) -> {
        draft.causal = true;
        int queries = 4 + random.nextInt(30);
        draft.shape = one(random, queries, queries + random.nextInt(30), dims.wide);
        draft.window = 1 + random.nextInt(3);
        draft.ridge = power(random, -6, -2);
    }),
    /** Sequences one after the other, some without queries. */
    PACKED_SEQUENCES((random, dims, draft) -> {
        draft.causal = random.nextBoolean();
        draft.ridge = power(random, -2, 0);
        packed(random, draft, dims.narrow);
    }),
    PACKED_SEQUENCES_AND_WINDOW((random, dims, draft) -> {
        draft.causal = true;
        packed(random, draft, dims.narrow);
        draft.ridge = power(random, -4, 0);
        draft.window = 1 + random.nextInt(8);
    }),
    /** Dv = 1 among them. */
    FEW_VALUE_DIMS((random, dims, draft) -> draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.wide, dims.few)),
    MANY_VALUE_DIMS((random, dims, draft) -> draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.narrow, dims.wide)),
    WIDE_HEADS((random, dims, draft) -> draft.shape = one(random, 1 + random.nextInt(12), 12 + random.nextInt(40), dims.widest)),
    ONE_DIM((random, dims, draft) -> draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), 1)),
    GROUPED_HEADS((random, dims, draft) -> draft.shape = new AttentionShape(2, 2 * (3 + random.nextInt(6)), 2, 1 + random.nextInt(16), 16 + random.nextInt(30),
            dims.narrow, dims.narrow)),
    /** Several tiles of keys and queries, whatever their size. */
    LONG((random, dims, draft) -> {
        int keys = 150 + random.nextInt(350);
        draft.shape = new AttentionShape(1, 1, 1, 1 + random.nextInt(keys), keys, dims.narrow, dims.narrow);
    }),
    /** (B,S,H,D), gradients too, or parts of larger tensors. */
    STRIDES((random, dims, draft) -> {
        draft.view = pick(random, View.HEADS_INSIDE, View.PART);
        int d = dims.any(random);
        draft.shape = new AttentionShape(1 + random.nextInt(2), 2 * (1 + random.nextInt(2)), 2, 1 + random.nextInt(24), 24 + random.nextInt(40), d, d);
    }),
    /** q, k and v of each token side by side. */
    PACKED_INPUTS((random, dims, draft) -> {
        int length = 1 + random.nextInt(60);
        draft.view = View.PACKED;
        draft.type(pick(random, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16));
        draft.shape = several(random, length, length, dims.narrow);
    }),
    /** float16, bfloat16 and float64, one of each or all alike. */
    OTHER_TYPES((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.any(random));
        draft.type(pick(random, DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT64));
        draft.types[random.nextInt(3)] = pick(random, DataType.values());
        draft.valueSize = 1;
    }),
    /** Appended in parts, a draft taken back, sequences of several lengths. */
    DECODE((random, dims, draft) -> decode(random, draft, 1 + random.nextInt(120), dims.any(random))),
    DECODE_IN_A_WINDOW((random, dims, draft) -> {
        draft.causal = true;
        decode(random, draft, 2 + random.nextInt(120), dims.narrow);
        draft.window = 1 + random.nextInt(draft.shape.keyLength());
    }),
    DECODE_FLOAT16((random, dims, draft) -> {
        decode(random, draft, 1 + random.nextInt(120), dims.any(random));
        draft.type(DataType.FLOAT16);
    }),
    /** Over the keys and values of the run before, other queries. */
    OTHER_QUERIES((random, dims, draft) -> {
        draft.mode = Mode.OTHER_QUERIES;
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(60), dims.any(random));
        draft.ridge = power(random, -3, 1);
    }),
    /** Gradients of a run before the last one. */
    EARLIER_RUN((random, dims, draft) -> {
        draft.mode = Mode.GRADIENTS_OF_EARLIER;
        draft.shape = several(random, 1 + random.nextInt(16), 16 + random.nextInt(30), dims.any(random));
        draft.ridge = power(random, -2, 1);
    }),
    /** Far from the usual 1e-5, on both sides. */
    OTHER_TOLERANCE((random, dims, draft) -> {
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.any(random));
        draft.tolerance = power(random, -7, -2);
        draft.ridge = power(random, -1, 1);
    }),
    /** Whose steps leave the span of keys. */
    PRECONDITIONED((random, dims, draft) -> {
        draft.preconditioner = Preconditioner.JACOBI;
        draft.family = pick(random, Family.NORMAL, Family.LOW_RANK, Family.HEAVY_TAILS);
        draft.shape = one(random, 1 + random.nextInt(16), 16 + random.nextInt(60), dims.wide);
        draft.ridge = power(random, -3, 1);
    }),
    /** Half of all queries, keys and values. */
    ZEROS((random, dims, draft) -> {
        draft.zeros = true;
        draft.shape = several(random, 1 + random.nextInt(24), 24 + random.nextInt(40), dims.any(random));
        draft.ridge = power(random, -3, 1);
    }),
    /** One query alone has a gradient, so that no other's hides its error. */
    ONE_LOSS((random, dims, draft) -> {
        draft.oneLoss = true;
        int queries = 1 + random.nextInt(40);
        draft.shape = several(random, queries, queries + random.nextInt(40), dims.narrow);
        draft.ridge = power(random, -3, 1);
    });

    private static final int LAYOUT_BITS = 17;
    private static final int DIMS_BITS = 7;
    private static final int CASE_BITS = 6;
    private static final int DIMS_SHIFT = RandomProblem.DATA_BITS + LAYOUT_BITS;
    private static final int CASE_SHIFT = DIMS_SHIFT + DIMS_BITS;
    /** In a seed, and nothing above it: of one of these cases. */
    private static final int MARK_SHIFT = CASE_SHIFT + CASE_BITS;
    private static final double USUAL_UP_TO = 2;

    private final Drawing drawing;

    HardCase(Drawing drawing) {
        this.drawing = drawing;
    }

    private interface Drawing {
        void draw(Random random, Dims dims, ProblemDraft draft);
    }

    /** Head dims of a run, which are few where each is compiled for. */
    private record Dims(int narrow, int wide, int widest, int few) {
        static Dims of(long bits) {
            Random random = new Random(RandomProblem.mix(bits));
            int narrow = 3 + random.nextInt(22);
            return new Dims(narrow, random.nextBoolean() ? pick(random, 64, 128) : 32 + random.nextInt(97), 129 + random.nextInt(AttentionShape.MAX_DIM - 128),
                    random.nextBoolean() ? 1 : narrow);
        }

        int any(Random random) {
            return random.nextBoolean() ? narrow : wide;
        }
    }

    /** The seed of a problem of this case. */
    long seed(long dims, long layout, long data) {
        return 1L << MARK_SHIFT | (long) ordinal() << CASE_SHIFT | low(dims, DIMS_BITS) << DIMS_SHIFT
                | low(layout, LAYOUT_BITS) << RandomProblem.DATA_BITS | low(data, RandomProblem.DATA_BITS);
    }

    private static long low(long value, int bits) {
        return value & (1L << bits) - 1;
    }

    /** The case of a seed; null if it is of none. */
    static HardCase of(long seed) {
        long index = low(seed >>> CASE_SHIFT, CASE_BITS);
        return seed >>> MARK_SHIFT == 1 && index < values().length ? values()[(int) index] : null;
    }

    ProblemDraft draft(long seed) {
        Random random = new Random(RandomProblem.mix(seed >>> RandomProblem.DATA_BITS));
        ProblemDraft draft = new ProblemDraft();
        draft.ridge = power(random, -1, USUAL_UP_TO);
        draft.preconditioner = random.nextInt(4) == 0 ? Preconditioner.JACOBI : Preconditioner.NONE;
        draft.ridged = random.nextInt(4) == 0;
        draft.causal = random.nextInt(4) > 0;
        draft.valueSize = 1;
        draft.lossSize = 1;
        drawing.draw(random, Dims.of(low(seed >>> DIMS_SHIFT, DIMS_BITS)), draft);
        if (draft.view == View.ROW_MAJOR && draft.valueSize == 1 && draft.lossSize == 1) {
            draft.twin(random);
        } else {
            draft.twin = Twin.NONE; // its tensors are row-major, and numbers might leave float32's range
        }
        return draft;
    }

    /** 10 to an exponent between these. */
    private static double power(Random random, double from, double to) {
        return Math.pow(10, from + (to - from) * random.nextDouble());
    }

    private static int sign(Random random) {
        return random.nextBoolean() ? 1 : -1;
    }

    /** One key/value head. */
    private static AttentionShape one(Random random, int queries, int keys, int d, int dv) {
        return new AttentionShape(1, 1 + random.nextInt(2), 1, queries, keys, d, dv);
    }

    private static AttentionShape one(Random random, int queries, int keys, int d) {
        return one(random, queries, keys, d, d);
    }

    private static AttentionShape several(Random random, int queries, int keys, int d) {
        return several(random, queries, keys, d, d);
    }

    /** Batch entries and heads, some of them grouped, where they are not too wide for that. */
    private static AttentionShape several(Random random, int queries, int keys, int d, int dv) {
        if (Math.max(d, dv) > 32) {
            return one(random, queries, keys, d, dv);
        }
        int kvHeads = 1 + random.nextInt(2);
        return new AttentionShape(1 + random.nextInt(2), kvHeads * (1 + random.nextInt(3)), kvHeads, queries, keys, d, dv);
    }

    private static void decode(Random random, ProblemDraft draft, int keys, int d) {
        draft.mode = Mode.DECODE;
        int kvHeads = 1 + random.nextInt(2);
        draft.shape = new AttentionShape(1 + random.nextInt(3), kvHeads * (1 + random.nextInt(4)), kvHeads, 1, keys, d, d);
        draft.scale = random.nextBoolean() ? LlaOptions.DEFAULT_SCALE : sign(random) * (0.2 + random.nextDouble()) / Math.sqrt(d);
    }

    private static void packed(Random random, ProblemDraft draft, int d) {
        int count = 2 + random.nextInt(4);
        int[] queries = new int[count + 1];
        int[] keys = new int[count + 1];
        int empty = random.nextInt(2 * count); // none, in half of the problems
        for (int s = 0; s < count; s++) {
            int length = s == empty ? 0 : 1 + random.nextInt(20);
            queries[s + 1] = queries[s] + length;
            keys[s + 1] = keys[s] + Math.max(1, length + (draft.causal ? random.nextInt(3) * random.nextInt(12) : random.nextInt(21) - 10));
        }
        int kvHeads = 1 + random.nextInt(2);
        draft.shape = new AttentionShape(1, kvHeads * (1 + random.nextInt(3)), kvHeads, queries[count], keys[count], d, d);
        draft.sequences = new Sequences(queries, keys);
        draft.ridged = random.nextInt(4) > 0;
        draft.ridgeSpread = 2;
    }

    /** As a report names it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
}
