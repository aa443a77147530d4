package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import java.util.Random;

/**
 * One problem of any kind that the program takes, drawn from a seed: the upper bits draw sizes and options, all bits draw the
 * numbers, so that many problems can share a plan.
 *
 * @param seed repeats it
 * @param family what the numbers are like
 * @param twin what is changed for a second run, whose answer is known from the first
 * @param exponent of the power of two in the twin
 * @param g gradient of the output (B,H,Sq,Dv); null unless the gradients are asked for
 * @param lengths tokens of each sequence's cache; null unless it is decoded
 */
public record RandomProblem(long seed, Family family, Mode mode, Twin twin, int exponent, LlaOptions options, LlaInputs inputs,
        Tensor g, int[] lengths) {
    /** Bits of a seed that draw numbers only. */
    static final int DATA_BITS = 20;
    /** In a seed: of the problems that float32 strains at. */
    static final long STRAINED = 1L << 51;

    private static final int WIDE = 48;
    private static final double LARGEST_UNIT = 1e12;

    /** Keys above this and a small ridge leave the float64 reference too few digits of its own. */
    private static final double LARGEST_KEY = 1e8;

    /** What is run. */
    public enum Mode {
        FORWARD, GRADIENTS, DECODE
    }

    /** What the numbers are like. */
    public enum Family {
        NORMAL, FEW_KEYS, REPEATED_KEYS, LOW_RANK, HEAVY_TAILS, SHIFTED, UNITS, KEYS_OF_ANY_SIZE
    }

    /** A change whose effect is known. */
    public enum Twin {
        /** None. */
        NONE,
        /** q, k times f with scale / f^2 and ridge f^2: o stays. */
        UNITS,
        /** v times f: o times f. */
        VALUES,
        /** g times f: gradients times f. */
        GRADIENT,
        /** q and k negated: o stays. (The scale and q negated keep the scores, but not kbar - q.) */
        SIGN
    }

    /** What the upper bits of a seed draw first. */
    private record Sizes(Family family, Mode mode, AttentionShape shape, boolean causal, double ridge, double scale) {
        private static Sizes usual(Random random) {
            Family family = pick(random, Family.values());
            Mode mode = Mode.values()[new int[] {0, 0, 0, 1, 1, 2}[random.nextInt(6)]];
            int d = logUniform(random, 128);
            int dv = random.nextBoolean() ? d : logUniform(random, 128);
            boolean wide = Math.max(d, dv) > WIDE;
            boolean causal = random.nextBoolean();
            int keys = family == Family.FEW_KEYS ? 1 + random.nextInt(d) : logUniform(random, 96);
            int queries = mode == Mode.DECODE ? 1 : 1 + random.nextInt(Math.min(wide ? 12 : 40, causal ? keys : 40));
            int kvHeads = wide ? 1 : 1 + random.nextInt(2);
            AttentionShape shape = new AttentionShape(wide ? 1 : 1 + random.nextInt(2), kvHeads * (1 + random.nextInt(wide ? 2 : 3)), kvHeads,
                    queries, keys, d, dv);
            double ridge = Math.exp(random.nextDouble() * Math.log(1e9)) * 1e-3;
            double scale = random.nextInt(5) < 3 ? LlaOptions.DEFAULT_SCALE
                    : (random.nextBoolean() ? 1 : -1) * (0.2 + 1.8 * random.nextDouble()) / Math.sqrt(d);
            return new Sizes(family, mode, shape, causal, ridge, scale);
        }

        /** Wide heads that see few keys, beside a small ridge: x is long there, and what cancels in exact arithmetic does not in float32. */
        private static Sizes strained(Random random) {
            Family family = pick(random, Family.FEW_KEYS, Family.REPEATED_KEYS, Family.LOW_RANK);
            Mode mode = Mode.values()[new int[] {0, 1, 1, 1, 1, 2}[random.nextInt(6)]];
            int d = random.nextBoolean() ? pick(random, 64, 128) : 32 + random.nextInt(97);
            int dv = random.nextBoolean() ? d : logUniform(random, 128);
            int keys = pick(random, 1, 2 + random.nextInt(3), 1 + random.nextInt(20), 1 + random.nextInt(d));
            boolean causal = random.nextInt(4) > 0;
            int queries = mode == Mode.DECODE ? 1 : causal && random.nextInt(3) > 0 ? Math.min(keys, 20) : 1 + random.nextInt(Math.min(12, causal ? keys : 12));
            double ridge = Math.pow(10, 4 * random.nextDouble() - 6);
            double peaked = random.nextInt(3) > 0 ? 1 : Math.pow(10, 1.5 * random.nextDouble());
            return new Sizes(family, mode, new AttentionShape(1, 1 + random.nextInt(2), 1, queries, keys, d, dv), causal, ridge, peaked / Math.sqrt(d));
        }
    }

    /**
     * The problem of a seed, the same on every machine.
     *
     * @param seed with {@link #STRAINED} one of few keys, identical keys or peaked weights beside a small ridge
     */
    public static RandomProblem draw(long seed) {
        Random random = new Random(mix(seed >>> DATA_BITS));
        Sizes sizes = (seed & STRAINED) == 0 ? Sizes.usual(random) : Sizes.strained(random);
        Family family = sizes.family;
        Mode mode = sizes.mode;
        AttentionShape shape = sizes.shape;
        int d = shape.headDim();
        double ridge = sizes.ridge;
        double scale = sizes.scale;
        double unit = 1;
        if (family == Family.UNITS || family == Family.KEYS_OF_ANY_SIZE) {
            unit = Math.pow(LARGEST_UNIT, 2 * random.nextDouble() - 1);
            unit = family == Family.UNITS ? unit : Math.min(unit, LARGEST_KEY);
            // scores stay as they are: those of millions have no digits in float32
            scale = (Double.isNaN(scale) ? 1 / Math.sqrt(d) : scale) / (unit * unit);
            ridge = family == Family.UNITS ? ridge * unit * unit : ridge;
        }
        DataType type = (seed & STRAINED) != 0 // not FLOAT64: rounding to float32 would be another problem
                ? pick(random, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16)
                : unit != 1 ? pick(random, DataType.FLOAT32, DataType.FLOAT64)
                : pick(random, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16, DataType.FLOAT64);
        LlaOptions options = LlaOptions.defaults().withCausal(sizes.causal).withScale((float) scale).withRidge((float) ridge)
                .withMaxIterations(4 * d + 64).withPreconditioner(random.nextInt(3) == 0 ? Preconditioner.JACOBI : Preconditioner.NONE)
                .withKeepState(mode == Mode.GRADIENTS);
        if (Double.isNaN(scale)) {
            options = options.withScale(LlaOptions.DEFAULT_SCALE);
        }
        boolean ridged = random.nextInt(4) == 0;
        Twin twin = random.nextBoolean() ? Twin.NONE : pick(random, Twin.values());
        if (unit != 1 && twin == Twin.UNITS || type == DataType.FLOAT16) {
            twin = Twin.NONE; // numbers would leave the type's range
        }
        if (twin == Twin.GRADIENT && mode != Mode.GRADIENTS || twin == Twin.VALUES && mode == Mode.GRADIENTS) {
            twin = Twin.SIGN;
        }
        int exponent = twin == Twin.UNITS ? random.nextInt(81) - 40 : random.nextInt(161) - 80;
        return new Numbers(new Random(mix(seed)), family, unit, type).fill(seed, mode, twin, exponent, shape, options, ridged);
    }

    public AttentionShape shape() {
        return inputs.shape();
    }

    /** The numbers that devices compute with. */
    LlaInputs rounded() {
        return inputs.as(DataType.FLOAT32);
    }

    RandomProblem with(LlaInputs newInputs, Tensor newG, int[] newLengths) {
        return new RandomProblem(seed, family, mode, twin, exponent, options, newInputs, newG, newLengths);
    }

    /** The changed problem: in float64 where the problem is, for a device may compute in it; else in float32. */
    RandomProblem changed() {
        double f = Math.scalb(1.0, exponent);
        LlaInputs in = inputs.as(changedType());
        double scale = options.scaleFor(shape().headDim());
        return switch (twin) {
            case NONE -> this;
            case UNITS -> new RandomProblem(seed, family, mode, twin, exponent, options.withScale(scale / (f * f))
                    .withRidge(options.ridge() * f * f), new LlaInputs(times(f, in.q()), times(f, in.k()), in.v(),
                            in.ridge() == null ? null : times(f * f, in.ridge())), g, lengths);
            case VALUES -> with(new LlaInputs(in.q(), in.k(), times(f, in.v()), in.ridge()), g, lengths);
            case GRADIENT -> with(in, times(f, g), lengths);
            case SIGN -> with(new LlaInputs(times(-1, in.q()), times(-1, in.k()), in.v(), in.ridge()), g, lengths);
        };
    }

    private DataType changedType() {
        return inputs.q().type() == DataType.FLOAT64 ? DataType.FLOAT64 : DataType.FLOAT32;
    }

    private Tensor times(double factor, Tensor tensor) {
        return GradientIdentities.times(factor, tensor).as(changedType());
    }

    /** Spreads a seed over all bits (SplitMix64). */
    static long mix(long seed) {
        long z = seed + 0x9e3779b97f4a7c15L;
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }

    private static int logUniform(Random random, int most) {
        return (int) Math.min(most, Math.exp(random.nextDouble() * Math.log(most + 1)));
    }

    @SafeVarargs
    private static <T> T pick(Random random, T... choices) {
        return choices[random.nextInt(choices.length)];
    }

    /** On one line. */
    @Override
    public String toString() {
        return mode + " " + family + " " + shape() + (options.causal() ? " causal" : "") + " ridge=" + (inputs.ridge() == null
                ? (Object) options.ridge() : "per query near " + (float) options.ridge()) + " scale="
                + (float) options.scaleFor(shape().headDim()) + " " + inputs.q().type()
                + (options.preconditioner() == Preconditioner.NONE ? "" : " jacobi") + (twin == Twin.NONE ? "" : " twin " + twin + " 2^" + exponent);
    }

    /** Draws the numbers of a problem whose sizes are known. */
    private record Numbers(Random random, Family family, double unit, DataType type) {

        RandomProblem fill(long seed, Mode mode, Twin twin, int exponent, AttentionShape shape, LlaOptions options, boolean ridged) {
            Tensor q = gaussian(shape.queryDims(), unit);
            Tensor k = keys(shape);
            // a power of two takes nothing from the numbers
            Tensor v = gaussian(shape.valueDims(), type == DataType.FLOAT16 ? 1 : small(twin == Twin.VALUES));
            Tensor g = mode == Mode.GRADIENTS ? gaussian(shape.outputDims(), small(twin == Twin.GRADIENT)).as(DataType.FLOAT32) : null;
            Tensor ridge = null;
            if (ridged) {
                ridge = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
                for (long i = 0; i < ridge.size(); i++) {
                    ridge.set(i, options.ridge() * Math.exp(Math.abs(random.nextGaussian())));
                }
            }
            int[] lengths = null;
            if (mode == Mode.DECODE) {
                lengths = random.ints(shape.batch(), 1, shape.keyLength() + 1).toArray();
                lengths[0] = shape.keyLength();
            }
            return new RandomProblem(seed, family, mode, twin, exponent, options, new LlaInputs(q.as(type), k.as(type), v.as(type), ridge),
                    g, lengths);
        }

        /** @param scaled whether the twin scales it on top, which would leave float32's range */
        private double small(boolean scaled) {
            double size = random.nextInt(4) == 0 ? Math.scalb(1.0, -random.nextInt(81)) : 1;
            return scaled ? 1 : size;
        }

        private Tensor keys(AttentionShape shape) {
            int d = shape.headDim();
            Tensor k = gaussian(shape.keyDims(), unit);
            long rows = k.size() / d;
            int kept = 1 + random.nextInt(Math.max(1, shape.keyLength() / 2));
            double[] shift = random.doubles(d, -5, 5).toArray();
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
                        case REPEATED_KEYS -> k.set(at, k.get((head + (row - head) % kept) * d + c));
                        case LOW_RANK -> {
                            double sum = 0;
                            for (int i = 0; i < basis.length; i++) {
                                sum += weights[i] * basis[i][c];
                            }
                            k.set(at, sum);
                        }
                        case HEAVY_TAILS -> k.set(at, k.get(at) * tail);
                        case SHIFTED -> k.set(at, k.get(at) + shift[c]);
                        default -> { }
                    }
                }
            }
            return k;
        }

        private Tensor gaussian(long[] dims, double size) {
            Tensor tensor = Tensor.allocate(DataType.FLOAT64, dims);
            for (long i = 0; i < tensor.size(); i++) {
                tensor.set(i, size * random.nextGaussian());
            }
            return tensor;
        }
    }
}
