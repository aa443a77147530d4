package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.RandomProblem.Family;
import io.github.flashlla.verify.RandomProblem.Mode;
import io.github.flashlla.verify.RandomProblem.Twin;
import java.util.Arrays;
import java.util.Random;

/** Sizes and options of a problem whose numbers are not drawn yet. A {@link HardCase} sets what makes it hard and leaves the rest. */
final class ProblemDraft {
    /** Head dims and value dims above this leave room for one head only. */
    private static final int WIDE = 48;
    private static final double LARGEST_UNIT = 1e12;
    /** Keys above this and a small ridge leave the float64 reference too few digits of its own. */
    private static final double LARGEST_KEY = 1e8;

    /** How the tensors lie in memory. */
    enum View {
        ROW_MAJOR,
        /** (B,S,H,D) */
        HEADS_INSIDE,
        /** Between heads and rows of a larger tensor, which holds NaN elsewhere. */
        PART,
        /** q, k and v side by side for each token. */
        PACKED
    }

    Family family = Family.NORMAL;
    Mode mode = Mode.GRADIENTS;
    AttentionShape shape;
    boolean causal = true;
    int window;
    double ridge = 1;
    double scale = LlaOptions.DEFAULT_SCALE;
    /** What keys and queries are multiplied by; scores stay, for those of millions have no digits in float32. */
    double unit = 1;
    DataType[] types = {DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32};
    Preconditioner preconditioner = Preconditioner.NONE;
    double tolerance = LlaOptions.defaults().tolerance();
    /** Whether each query has its own ridge, exp(spread |normal|) times {@link #ridge}. */
    boolean ridged;
    double ridgeSpread = 1;
    Twin twin = Twin.NONE;
    int exponent;
    double querySize = 1;
    /** NaN: one in four is smaller by a power of two, which takes nothing from the numbers. */
    double valueSize = Double.NaN;
    double lossSize = Double.NaN;
    /** Largest element of what {@link Family#SHIFTED} adds to all keys. */
    double shift = 5;
    View view = View.ROW_MAJOR;
    /** Of packed sequences; null unless they are packed. */
    Sequences sequences;
    /** Whether about half of the queries, keys and values are 0. */
    boolean zeros;
    /** Whether one query alone has a gradient. */
    boolean oneLoss;

    /** Any problem, with nothing that is hard on purpose. */
    static ProblemDraft usual(Random random) {
        ProblemDraft draft = new ProblemDraft();
        draft.family = pick(random, Family.NORMAL, Family.FEW_KEYS, Family.REPEATED_KEYS, Family.LOW_RANK, Family.HEAVY_TAILS, Family.SHIFTED, Family.UNITS,
                Family.KEYS_OF_ANY_SIZE);
        draft.mode = pick(random, Mode.FORWARD, Mode.FORWARD, Mode.FORWARD, Mode.GRADIENTS, Mode.GRADIENTS, Mode.DECODE);
        int d = logUniform(random, 128);
        int dv = random.nextBoolean() ? d : logUniform(random, 128);
        boolean wide = Math.max(d, dv) > WIDE;
        draft.causal = random.nextBoolean();
        int keys = draft.family == Family.FEW_KEYS ? 1 + random.nextInt(d) : logUniform(random, 96);
        int queries = draft.mode == Mode.DECODE ? 1 : 1 + random.nextInt(Math.min(wide ? 12 : 40, draft.causal ? keys : 40));
        int kvHeads = wide ? 1 : 1 + random.nextInt(2);
        draft.shape = new AttentionShape(wide ? 1 : 1 + random.nextInt(2), kvHeads * (1 + random.nextInt(wide ? 2 : 3)), kvHeads, queries, keys, d, dv);
        draft.ridge = Math.exp(random.nextDouble() * Math.log(1e9)) * 1e-3;
        draft.scale = random.nextInt(5) < 3 ? LlaOptions.DEFAULT_SCALE
                : (random.nextBoolean() ? 1 : -1) * (0.2 + 1.8 * random.nextDouble()) / Math.sqrt(d);
        draft.units(random);
        draft.type(draft.unit != 1 ? pick(random, DataType.FLOAT32, DataType.FLOAT64)
                : pick(random, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16, DataType.FLOAT64));
        draft.rest(random);
        return draft;
    }

    /** Wide heads that see few keys, beside a small ridge: x is long there, and what cancels in exact arithmetic does not in float32. */
    static ProblemDraft strained(Random random) {
        ProblemDraft draft = new ProblemDraft();
        draft.family = pick(random, Family.FEW_KEYS, Family.REPEATED_KEYS, Family.LOW_RANK);
        draft.mode = pick(random, Mode.FORWARD, Mode.GRADIENTS, Mode.GRADIENTS, Mode.GRADIENTS, Mode.GRADIENTS, Mode.DECODE);
        int d = random.nextBoolean() ? pick(random, 64, 128) : 32 + random.nextInt(97);
        int dv = random.nextBoolean() ? d : logUniform(random, 128);
        int keys = pick(random, 1, 2 + random.nextInt(3), 1 + random.nextInt(20), 1 + random.nextInt(d));
        draft.causal = random.nextInt(4) > 0;
        int queries = draft.mode == Mode.DECODE ? 1 : draft.causal && random.nextInt(3) > 0 ? Math.min(keys, 20)
                : 1 + random.nextInt(Math.min(12, draft.causal ? keys : 12));
        draft.ridge = Math.pow(10, 4 * random.nextDouble() - 6);
        double peaked = random.nextInt(3) > 0 ? 1 : Math.pow(10, 1.5 * random.nextDouble());
        draft.shape = new AttentionShape(1, 1 + random.nextInt(2), 1, queries, keys, d, dv);
        draft.scale = peaked / Math.sqrt(d);
        // not FLOAT64: rounding to float32 would be another problem
        draft.type(pick(random, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16));
        draft.rest(random);
        return draft;
    }

    /** Other units of keys and queries, where the family has them. */
    void units(Random random) {
        if (family == Family.UNITS || family == Family.KEYS_OF_ANY_SIZE) {
            unit = Math.pow(LARGEST_UNIT, 2 * random.nextDouble() - 1);
            unit = family == Family.UNITS ? unit : Math.min(unit, LARGEST_KEY);
            scale = (Double.isNaN(scale) ? 1 / Math.sqrt(shape.headDim()) : scale) / (unit * unit);
            ridge = family == Family.UNITS ? ridge * unit * unit : ridge;
        }
    }

    void type(DataType type) {
        Arrays.fill(types, type);
    }

    private void rest(Random random) {
        preconditioner = random.nextInt(3) == 0 ? Preconditioner.JACOBI : Preconditioner.NONE;
        ridged = random.nextInt(4) == 0;
        twin(random);
    }

    /** None for half of the problems. */
    void twin(Random random) {
        twin = random.nextBoolean() ? Twin.NONE : pick(random, Twin.values());
        if (unit != 1 && twin == Twin.UNITS || isHalf() || types[0] != types[1] || types[0] != types[2]) {
            twin = Twin.NONE; // numbers would leave the type's range, or be rounded
        }
        if (twin == Twin.GRADIENT && !mode.hasGradients() || twin == Twin.VALUES && mode.hasGradients()) {
            twin = Twin.SIGN;
        }
        exponent = twin == Twin.UNITS ? random.nextInt(81) - 40 : random.nextInt(161) - 80;
    }

    private boolean isHalf() {
        return Arrays.stream(types).anyMatch(type -> type == DataType.FLOAT16 || type == DataType.BFLOAT16);
    }

    private LlaOptions options() {
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withRidge((float) ridge).withMaxIterations(4 * shape.headDim() + 64)
                .withPreconditioner(preconditioner).withKeepState(mode.hasGradients()).withTolerance(tolerance).withWindow(window);
        return Double.isNaN(scale) ? options : options.withScale((float) scale);
    }

    /** Draws the numbers. */
    RandomProblem fill(long seed, Random random) {
        Tensor q = gaussian(random, shape.queryDims(), unit);
        times(q, querySize);
        Tensor k = keys(random);
        Tensor v = gaussian(random, shape.valueDims(), !Double.isNaN(valueSize) ? valueSize : types[2] == DataType.FLOAT16 ? 1
                : small(random, twin == Twin.VALUES));
        Tensor g = mode.hasGradients()
                ? gaussian(random, shape.outputDims(), Double.isNaN(lossSize) ? small(random, twin == Twin.GRADIENT) : lossSize) : null;
        LlaOptions options = options();
        Tensor ridges = null;
        if (ridged) {
            ridges = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
            for (long i = 0; i < ridges.size(); i++) {
                ridges.set(i, options.ridge() * Math.exp(ridgeSpread * Math.abs(random.nextGaussian())));
            }
        }
        int[] lengths = null;
        if (mode == Mode.DECODE) {
            lengths = random.ints(shape.batch(), 1, shape.keyLength() + 1).toArray();
            lengths[0] = shape.keyLength();
        }
        if (zeros) {
            for (Tensor tensor : new Tensor[] {q, k, v}) {
                clearRows(tensor, random.ints(tensor.size() / tensor.dim(3), 0, 2).toArray());
            }
        }
        if (oneLoss) {
            int[] kept = new int[Math.toIntExact(shape.rows())];
            kept[random.nextInt(kept.length)] = 1;
            clearRows(g, kept);
        }
        LlaInputs inputs = view == View.PACKED ? packed(q, k, v).withRidge(ridges)
                : new LlaInputs(laid(view, q.as(types[0])), laid(view, k.as(types[1])), laid(view, v.as(types[2])), ridges);
        return new RandomProblem(seed, family, mode, twin, exponent, options, inputs, g == null ? null : g.as(DataType.FLOAT32), lengths, sequences);
    }

    private static void times(Tensor tensor, double factor) {
        for (long i = 0; factor != 1 && i < tensor.size(); i++) {
            tensor.set(i, factor * tensor.get(i));
        }
    }

    private static void clearRows(Tensor tensor, int[] kept) {
        long width = tensor.dim(3);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, kept[(int) (i / width)] * tensor.get(i));
        }
    }

    private LlaInputs packed(Tensor q, Tensor k, Tensor v) {
        Tensor all = Tensor.allocate(types[0], shape.batch(), shape.queryLength(), shape.heads() + 2L * shape.kvHeads(), shape.headDim());
        LlaInputs views = LlaInputs.packed(all, shape.heads(), shape.kvHeads());
        copy(q, views.q());
        copy(k, views.k());
        copy(v, views.v());
        return views;
    }

    /** The same elements, which lie otherwise in memory. */
    private static Tensor laid(View view, Tensor tensor) {
        if (view == View.ROW_MAJOR) {
            return tensor;
        }
        Tensor laid;
        if (view == View.PART) {
            Tensor around = Tensor.allocate(tensor.type(), tensor.dim(0), tensor.dim(1) + 1, tensor.dim(2) + 3, tensor.dim(3));
            around.fill(Double.NaN);
            laid = around.part(1, 1, tensor.dim(1)).part(2, 2, tensor.dim(2));
        } else {
            laid = headsInside(tensor.type(), tensor.dims());
        }
        copy(tensor, laid);
        return laid;
    }

    /** Of sizes (B,H,S,D), with memory for (B,S,H,D). */
    static Tensor headsInside(DataType type, long[] dims) {
        return Tensor.allocate(type, dims[0], dims[2], dims[1], dims[3]).permute(0, 2, 1, 3);
    }

    private static void copy(Tensor from, Tensor to) {
        for (long i = 0; i < from.size(); i++) {
            to.set(i, from.get(i));
        }
    }

    /** @param scaled whether the twin scales it on top, which would leave float32's range */
    private static double small(Random random, boolean scaled) {
        double size = random.nextInt(4) == 0 ? Math.scalb(1.0, -random.nextInt(81)) : 1;
        return scaled ? 1 : size;
    }

    private Tensor keys(Random random) {
        int d = shape.headDim();
        Tensor k = gaussian(random, shape.keyDims(), unit);
        long rows = k.size() / d;
        int kept = 1 + random.nextInt(Math.max(1, shape.keyLength() / 2));
        double[] added = random.doubles(d, -shift, shift).toArray();
        double[][] basis = new double[Math.min(kept, d)][d];
        for (double[] direction : basis) {
            for (int c = 0; c < d; c++) {
                direction[c] = random.nextGaussian() / Math.sqrt(basis.length);
            }
        }
        for (long row = 0; row < rows; row++) {
            long head = row / shape.keyLength() * shape.keyLength();
            double[] weights = random.doubles(basis.length, -2, 2).toArray();
            double tail = 1 / Math.max(0.05, Math.abs(random.nextGaussian()));
            for (int c = 0; c < d; c++) {
                long at = row * d + c;
                switch (family) {
                    case IDENTICAL_KEYS -> k.set(at, k.get(head * d + c));
                    case REPEATED_KEYS -> k.set(at, k.get((head + (row - head) % kept) * d + c));
                    case LOW_RANK -> {
                        double sum = 0;
                        for (int i = 0; i < basis.length; i++) {
                            sum += weights[i] * basis[i][c];
                        }
                        k.set(at, sum);
                    }
                    case HEAVY_TAILS -> k.set(at, k.get(at) * tail);
                    case SHIFTED -> k.set(at, k.get(at) + added[c]);
                    default -> { }
                }
            }
        }
        return k;
    }

    private static Tensor gaussian(Random random, long[] dims, double size) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT64, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, size * random.nextGaussian());
        }
        return tensor;
    }

    static int logUniform(Random random, int most) {
        return (int) Math.min(most, Math.exp(random.nextDouble() * Math.log(most + 1)));
    }

    @SafeVarargs
    static <T> T pick(Random random, T... choices) {
        return choices[random.nextInt(choices.length)];
    }
}
