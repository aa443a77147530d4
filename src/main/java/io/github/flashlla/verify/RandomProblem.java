package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import java.util.Arrays;
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
 * @param sequences where packed sequences lie; null unless they are packed
 */
public record RandomProblem(long seed, Family family, Mode mode, Twin twin, int exponent, LlaOptions options, LlaInputs inputs,
        Tensor g, int[] lengths, Sequences sequences) {
    /** Bits of a seed that draw numbers only. */
    static final int DATA_BITS = 20;
    /** In a seed: of the problems that float32 strains at. */
    static final long STRAINED = 1L << 51;

    /** What is run. */
    public enum Mode {
        FORWARD, GRADIENTS, DECODE,
        /** Over the keys and values of a forward pass before, which had other queries. */
        OTHER_QUERIES,
        /** Gradients of a forward pass before the last one. */
        GRADIENTS_OF_EARLIER;

        boolean hasGradients() {
            return this == GRADIENTS || this == GRADIENTS_OF_EARLIER;
        }
    }

    /** What the numbers are like. */
    public enum Family {
        NORMAL, FEW_KEYS, IDENTICAL_KEYS, REPEATED_KEYS, LOW_RANK, HEAVY_TAILS, SHIFTED, UNITS, KEYS_OF_ANY_SIZE
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

    /**
     * The problem of a seed, the same on every machine: of a {@link HardCase} where the seed is one of its, with {@link #STRAINED} one of few keys, identical keys or
     * peaked weights beside a small ridge, else any.
     */
    public static RandomProblem draw(long seed) {
        return draft(seed).fill(seed, new Random(mix(seed)));
    }

    /** The same before its numbers are drawn. */
    static ProblemDraft draft(long seed) {
        HardCase hard = HardCase.of(seed);
        Random random = new Random(mix(seed >>> DATA_BITS));
        return hard != null ? hard.draft(seed) : (seed & STRAINED) == 0 ? ProblemDraft.usual(random) : ProblemDraft.strained(random);
    }

    public AttentionShape shape() {
        return inputs.shape();
    }

    /** The numbers that devices compute with. */
    LlaInputs rounded() {
        return inputs.as(DataType.FLOAT32);
    }

    RandomProblem with(LlaInputs newInputs, Tensor newG, int[] newLengths) {
        return new RandomProblem(seed, family, mode, twin, exponent, options, newInputs, newG, newLengths, sequences);
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
                            in.ridge() == null ? null : times(f * f, in.ridge())), g, lengths, sequences);
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

    /** On one line. */
    @Override
    public String toString() {
        HardCase hard = HardCase.of(seed);
        DataType type = inputs.q().type();
        String types = type == inputs.k().type() && type == inputs.v().type() ? type.toString() : type + "/" + inputs.k().type() + "/" + inputs.v().type();
        return (hard == null ? "" : hard + ": ") + mode + " " + family + " " + shape() + (options.causal() ? " causal" : "")
                + (options.window() == 0 ? "" : " window " + options.window()) + (sequences == null ? "" : " packed " + sequences)
                + (lengths == null ? "" : " lengths " + Arrays.toString(lengths)) + (inputs.q().isRowMajor() ? "" : " strides " + Arrays.toString(inputs.q().strides()))
                + " ridge=" + (inputs.ridge() == null ? (Object) options.ridge() : "per query near " + (float) options.ridge()) + " scale="
                + (float) options.scaleFor(shape().headDim()) + (options.tolerance() == LlaOptions.defaults().tolerance() ? "" : " tol=" + (float) options.tolerance())
                + " " + types + (options.preconditioner() == Preconditioner.NONE ? "" : " jacobi") + (twin == Twin.NONE ? "" : " twin " + twin + " 2^" + exponent);
    }
}
