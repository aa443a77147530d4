package io.github.flashlla.jvm.block;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** e^x on float vectors, to 2 ulp. */
public final class VectorExp {

    private static final float LOG2_E = 1.44269504f;
    /** ln 2 in two parts, the first with so few bits that n times it is exact. */
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;
    /** 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low bits. */
    private static final float ROUND = 12582912f;
    private static final float SMALLEST = -86.9f;
    private static final float LARGEST = 88.72283f;

    private VectorExp() {}

    /**
     * e^x per lane. Below x = -86.9 (results under 2^-125) it is 0, so that no weight is a slow denormal number; above
     * x = 88.7228 it is infinity; NaN stays NaN.
     */
    public static FloatVector exp(FloatVector x) {
        // x = n ln 2 + r with |r| <= ln 2 / 2
        FloatVector rounded = x.fma(x.broadcast(LOG2_E), x.broadcast(ROUND));
        FloatVector n = rounded.sub(ROUND);
        FloatVector r = n.fma(x.broadcast(-LN2_LOW), n.fma(x.broadcast(-LN2_HIGH), x));
        // e^r = 1 + r + r^2 P(r); coefficients of the Cephes library's expf
        FloatVector p = x.broadcast(1.9875691500e-4f);
        p = p.fma(r, x.broadcast(1.3981999507e-3f));
        p = p.fma(r, x.broadcast(8.3334519073e-3f));
        p = p.fma(r, x.broadcast(4.1665795894e-2f));
        p = p.fma(r, x.broadcast(1.6666665459e-1f));
        p = p.fma(r, x.broadcast(5.0000001201e-1f));
        p = p.fma(r.mul(r), r).add(1f);
        // twice e^r times 2^(n-1): n reaches 128, whose power of two a float does not hold
        FloatVector power = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23).add(126 << 23)
                .reinterpretAsFloats();
        FloatVector result = p.add(p).mul(power);
        result = result.blend(0f, x.compare(VectorOperators.LT, SMALLEST));
        return result.blend(Float.POSITIVE_INFINITY, x.compare(VectorOperators.GT, LARGEST));
    }
}
