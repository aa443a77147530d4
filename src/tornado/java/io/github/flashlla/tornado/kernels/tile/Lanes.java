package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * Sixteen lanes of float32: what kernels for CPUs compute with, beside {@link Float16}'s own sums, differences and products.
 *
 * <p>What the vector types lack, comparisons and integers, is written lane by lane, which the driver's compiler makes one
 * instruction of the sixteen (an AVX-512 one where it can), or, if its vectorisers are off as in PoCL 5, some fifty. What
 * kernels spend their time in, {@link #fma} above all, must therefore be {@code Float16}'s own operations.
 * Methods of {@code Float16} such as {@code mult(Float16, float)}, and vectors in private arrays with an index that is no
 * constant, are best left alone: the former are slow, the latter are compiled to a wrong index.
 */
public final class Lanes {
    public static final int COUNT = 16;

    private static final float LOG2_E = 1.44269504f;
    private static final float LN2 = 0.693147181f;
    /** Exponents below 2^-120 count as 2^-120: a weight of 1e-36 beside one of 1. */
    private static final float SMALLEST = -120f;

    private Lanes() {}

    public static Float16 spread(float s) {
        return new Float16(s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s);
    }

    /**
     * a b + c, fused where the driver contracts across statements. In a loop, load operands one iteration ahead: in SPIR-V the
     * product is made lane by lane, and drivers take a vector that is only read so apart into scalar loads, but not one that a
     * loop carries.
     */
    public static Float16 fma(Float16 a, Float16 b, Float16 c) {
        return Float16.add(Float16.mult(a, b), c);
    }

    /** a - b; {@code Float16.sub} of a vector that a loop carries is a difference of integers in SPIR-V. */
    public static Float16 sub(Float16 a, Float16 b) {
        return Float16.add(a, Float16.mult(b, spread(-1f)));
    }

    public static Float16 max(Float16 a, Float16 b) {
        return new Float16(Math.max(a.get(0), b.get(0)), Math.max(a.get(1), b.get(1)),
                Math.max(a.get(2), b.get(2)), Math.max(a.get(3), b.get(3)),
                Math.max(a.get(4), b.get(4)), Math.max(a.get(5), b.get(5)),
                Math.max(a.get(6), b.get(6)), Math.max(a.get(7), b.get(7)),
                Math.max(a.get(8), b.get(8)), Math.max(a.get(9), b.get(9)),
                Math.max(a.get(10), b.get(10)), Math.max(a.get(11), b.get(11)),
                Math.max(a.get(12), b.get(12)), Math.max(a.get(13), b.get(13)),
                Math.max(a.get(14), b.get(14)), Math.max(a.get(15), b.get(15)));
    }

    /** a, but within -most and most. */
    public static Float16 within(Float16 a, float most) {
        Float16 negated = max(Float16.mult(max(a, spread(-most)), spread(-1f)), spread(-most));
        return Float16.mult(negated, spread(-1f));
    }

    /** e^x for x &lt;= 0, to 3 ulp of what x's own rounding leaves; at least 2^-120. */
    public static Float16 exp(Float16 x) {
        // e^x = 2^-m e^r with |r| <= ln 2 / 2; no rounding by a large addend, which fast-math flags would fold away
        Float16 t = max(Float16.mult(x, spread(LOG2_E)), spread(SMALLEST));
        Float16 r = Float16.mult(Float16.add(t, wholes(t)), spread(LN2));
        // e^r = 1 + r + r^2 P(r); coefficients of the Cephes library's expf
        Float16 p = spread(1.9875691500e-4f);
        p = Float16.add(Float16.mult(p, r), spread(1.3981999507e-3f));
        p = Float16.add(Float16.mult(p, r), spread(8.3334519073e-3f));
        p = Float16.add(Float16.mult(p, r), spread(4.1665795894e-2f));
        p = Float16.add(Float16.mult(p, r), spread(1.6666665459e-1f));
        p = Float16.add(Float16.mult(p, r), spread(5.0000001201e-1f));
        p = Float16.add(Float16.mult(p, Float16.mult(r, r)), Float16.add(r, spread(1f)));
        // 2^-m = (2^-(m / 4))^4 2^-(m % 4): powers of two without a look at the bits of a float, which no backend offers
        Float16 m = wholes(t);
        Float16 quarter = quarterPowers(m);
        quarter = Float16.mult(quarter, quarter);
        return Float16.mult(Float16.mult(Float16.mult(quarter, quarter), restPowers(m)), p);
    }

    private static Float16 wholes(Float16 t) {
        return new Float16((int) (0.5f - t.get(0)), (int) (0.5f - t.get(1)), (int) (0.5f - t.get(2)), (int) (0.5f - t.get(3)),
                (int) (0.5f - t.get(4)), (int) (0.5f - t.get(5)), (int) (0.5f - t.get(6)), (int) (0.5f - t.get(7)),
                (int) (0.5f - t.get(8)), (int) (0.5f - t.get(9)), (int) (0.5f - t.get(10)), (int) (0.5f - t.get(11)),
                (int) (0.5f - t.get(12)), (int) (0.5f - t.get(13)), (int) (0.5f - t.get(14)), (int) (0.5f - t.get(15)));
    }

    /** 2^-(m / 4), rounded down. */
    private static Float16 quarterPowers(Float16 m) {
        return new Float16((1 << 30 - ((int) m.get(0) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(1) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(2) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(3) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(4) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(5) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(6) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(7) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(8) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(9) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(10) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(11) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(12) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(13) >> 2)) * 0x1p-30f,
                (1 << 30 - ((int) m.get(14) >> 2)) * 0x1p-30f, (1 << 30 - ((int) m.get(15) >> 2)) * 0x1p-30f);
    }

    /** 2^-(m % 4) */
    private static Float16 restPowers(Float16 m) {
        return new Float16((8 >> ((int) m.get(0) & 3)) * 0.125f, (8 >> ((int) m.get(1) & 3)) * 0.125f,
                (8 >> ((int) m.get(2) & 3)) * 0.125f, (8 >> ((int) m.get(3) & 3)) * 0.125f,
                (8 >> ((int) m.get(4) & 3)) * 0.125f, (8 >> ((int) m.get(5) & 3)) * 0.125f,
                (8 >> ((int) m.get(6) & 3)) * 0.125f, (8 >> ((int) m.get(7) & 3)) * 0.125f,
                (8 >> ((int) m.get(8) & 3)) * 0.125f, (8 >> ((int) m.get(9) & 3)) * 0.125f,
                (8 >> ((int) m.get(10) & 3)) * 0.125f, (8 >> ((int) m.get(11) & 3)) * 0.125f,
                (8 >> ((int) m.get(12) & 3)) * 0.125f, (8 >> ((int) m.get(13) & 3)) * 0.125f,
                (8 >> ((int) m.get(14) & 3)) * 0.125f, (8 >> ((int) m.get(15) & 3)) * 0.125f);
    }
}
