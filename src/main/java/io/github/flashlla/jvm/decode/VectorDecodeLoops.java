package io.github.flashlla.jvm.decode;

import io.github.flashlla.jvm.block.VectorExp;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/** {@link DecodeLoops} on the Vector API. Load this class only where the module {@code jdk.incubator.vector} is present. */
public final class VectorDecodeLoops implements DecodeLoops {

    private static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();
    private static final long LANE_BYTES = LANES * (long) Float.BYTES;
    private static final long ROW_BYTES = TILE * (long) Float.BYTES;
    private static final VectorSpecies<Short> HALF_SPECIES = SPECIES.withLanes(short.class);

    @Override
    public void dots(int dim, MemorySegment k, long at, float[] c, float[] x, float[] dots, int from) {
        for (int j = 0; j < TILE; j += 4 * LANES) {
            FloatVector s0 = FloatVector.zero(SPECIES);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            long row = at + (long) j * Float.BYTES;
            for (int d = 0; d < dim; d++) {
                FloatVector centre = FloatVector.broadcast(SPECIES, c[d]);
                FloatVector y = FloatVector.broadcast(SPECIES, x[d]);
                s0 = load(k, row).sub(centre).fma(y, s0);
                s1 = load(k, row + LANE_BYTES).sub(centre).fma(y, s1);
                s2 = load(k, row + 2 * LANE_BYTES).sub(centre).fma(y, s2);
                s3 = load(k, row + 3 * LANE_BYTES).sub(centre).fma(y, s3);
                row += ROW_BYTES;
            }
            s0.intoArray(dots, from + j);
            s1.intoArray(dots, from + j + LANES);
            s2.intoArray(dots, from + j + 2 * LANES);
            s3.intoArray(dots, from + j + 3 * LANES);
        }
    }

    @Override
    public void accumulate(int dim, MemorySegment k, long at, float[] c, float[] coefficient, float[] lanes) {
        for (int j = 0; j < TILE; j += 4 * LANES) {
            FloatVector w0 = FloatVector.fromArray(SPECIES, coefficient, j);
            FloatVector w1 = FloatVector.fromArray(SPECIES, coefficient, j + LANES);
            FloatVector w2 = FloatVector.fromArray(SPECIES, coefficient, j + 2 * LANES);
            FloatVector w3 = FloatVector.fromArray(SPECIES, coefficient, j + 3 * LANES);
            long row = at + (long) j * Float.BYTES;
            for (int d = 0; d < dim; d++) {
                FloatVector centre = FloatVector.broadcast(SPECIES, c[d]);
                FloatVector even = load(k, row).sub(centre).mul(w0);
                FloatVector odd = load(k, row + LANE_BYTES).sub(centre).mul(w1);
                even = load(k, row + 2 * LANE_BYTES).sub(centre).fma(w2, even);
                odd = load(k, row + 3 * LANE_BYTES).sub(centre).fma(w3, odd);
                add(even.add(odd), lanes, d * PAD);
                row += ROW_BYTES;
            }
        }
    }

    @Override
    public void accumulate(int dim, MemorySegment k, long at, float[] c, float[] a, float[] b, float[] aLanes, float[] bLanes) {
        for (int j = 0; j < TILE; j += 4 * LANES) {
            FloatVector a0 = FloatVector.fromArray(SPECIES, a, j);
            FloatVector a1 = FloatVector.fromArray(SPECIES, a, j + LANES);
            FloatVector a2 = FloatVector.fromArray(SPECIES, a, j + 2 * LANES);
            FloatVector a3 = FloatVector.fromArray(SPECIES, a, j + 3 * LANES);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, j);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, j + LANES);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, j + 2 * LANES);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, j + 3 * LANES);
            long row = at + (long) j * Float.BYTES;
            for (int d = 0; d < dim; d++) {
                FloatVector centre = FloatVector.broadcast(SPECIES, c[d]);
                FloatVector z = load(k, row).sub(centre);
                FloatVector aEven = z.mul(a0);
                FloatVector bEven = z.mul(b0);
                z = load(k, row + LANE_BYTES).sub(centre);
                FloatVector aOdd = z.mul(a1);
                FloatVector bOdd = z.mul(b1);
                z = load(k, row + 2 * LANE_BYTES).sub(centre);
                aEven = z.fma(a2, aEven);
                bEven = z.fma(b2, bEven);
                z = load(k, row + 3 * LANE_BYTES).sub(centre);
                aOdd = z.fma(a3, aOdd);
                bOdd = z.fma(b3, bOdd);
                add(aEven.add(aOdd), aLanes, d * PAD);
                add(bEven.add(bOdd), bLanes, d * PAD);
                row += ROW_BYTES;
            }
        }
    }

    private static FloatVector load(MemorySegment tile, long at) {
        return FloatVector.fromMemorySegment(SPECIES, tile, at, ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * A float16's exponent and fraction, moved to where float32 has its own, are the number times 2^-112, subnormal or not.
     *
     * <p>Loaded as shorts and stored as longs for the just-in-time compiler's sake: until it has compiled them, reinterpreting casts
     * of ints and floats store to arrays, and a compiler that has seen arrays in a profile makes stores to memory four times slower.
     */
    @Override
    public void widen(int dim, MemorySegment half, long at, MemorySegment single) {
        for (int d = 0; d < dim; d++) {
            long to = d * ROW_BYTES;
            for (int i = 0; i < TILE / 2; i += LANES) {
                IntVector pair = ShortVector.fromMemorySegment(HALF_SPECIES, half, at + d * ROW_BYTES / 2 + (long) i * Integer.BYTES,
                        ByteOrder.LITTLE_ENDIAN).reinterpretAsInts();
                widen(pair.lanewise(VectorOperators.LSHL, 16), single, to + (long) i * Float.BYTES);
                widen(pair, single, to + (long) (TILE / 2 + i) * Float.BYTES);
            }
        }
    }

    private static void widen(IntVector upperHalf, MemorySegment single, long at) {
        upperHalf.lanewise(VectorOperators.ASHR, 3).and(0x8fffe000).reinterpretAsFloats().mul(0x1p112f).reinterpretAsLongs()
                .intoMemorySegment(single, at, ByteOrder.LITTLE_ENDIAN);
    }

    /** The sum of all lanes in a fixed order: that of reduceLanes may change when the JVM compiles a method, and with it the last bit. */
    private static float total(FloatVector lanes) {
        FloatVector sum = lanes;
        for (int step = LANES / 2; step > 0; step /= 2) {
            sum = sum.add(sum.rearrange(VectorShuffle.iota(SPECIES, step, 1, true)));
        }
        return sum.lane(0);
    }

    @Override
    public float max(float[] values, int from) {
        FloatVector max = FloatVector.fromArray(SPECIES, values, from);
        for (int j = LANES; j < TILE; j += LANES) {
            max = max.max(FloatVector.fromArray(SPECIES, values, from + j));
        }
        return max.reduceLanes(VectorOperators.MAX);
    }

    @Override
    public float weigh(float[] w, int from, float factor, float[] x, float shift, float[] out) {
        FloatVector sum = FloatVector.zero(SPECIES);
        for (int j = 0; j < TILE; j += LANES) {
            FloatVector product = FloatVector.fromArray(SPECIES, x, from + j).sub(shift)
                    .mul(FloatVector.fromArray(SPECIES, w, from + j).mul(factor));
            product.intoArray(out, j);
            sum = sum.add(product);
        }
        return total(sum);
    }

    @Override
    public void scale(float[] x, int from, float step, float shift, float[] out) {
        for (int j = from; j < from + TILE; j += LANES) {
            FloatVector.fromArray(SPECIES, x, j).sub(shift).mul(step).intoArray(out, j);
        }
    }

    @Override
    public void addScaled(float[] x, int from, float step, float[] out) {
        for (int j = from; j < from + TILE; j += LANES) {
            FloatVector.fromArray(SPECIES, x, j).fma(FloatVector.broadcast(SPECIES, step), FloatVector.fromArray(SPECIES, out, j))
                    .intoArray(out, j);
        }
    }

    @Override
    public float exponentials(int n, float[] scores, int from, float max, float factor, float[] out, int to) {
        FloatVector sum = FloatVector.zero(SPECIES);
        for (int j = 0; j < n; j += LANES) {
            FloatVector e = VectorExp.exp(FloatVector.fromArray(SPECIES, scores, from + j).sub(max).mul(factor));
            e.intoArray(out, to + j);
            sum = sum.add(e);
        }
        return total(sum);
    }

    @Override
    public void centre(int n, int dim, float[] k, float[] c, float[] root, float[] z, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector centre = FloatVector.fromArray(SPECIES, c, d);
            FloatVector total = FloatVector.zero(SPECIES);
            int at = d;
            for (int j = 0; j < n; j++) {
                FloatVector r = FloatVector.broadcast(SPECIES, root[j]);
                FloatVector centred = FloatVector.fromArray(SPECIES, k, at).sub(centre).mul(r);
                centred.intoArray(z, at);
                total = centred.fma(r, total);
                at += dim;
            }
            add(total, sum, d);
        }
    }

    @Override
    public void scaleRows(int n, int dim, float[] v, float[] root, float[] out, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector total = FloatVector.zero(SPECIES);
            int at = d;
            for (int j = 0; j < n; j++) {
                FloatVector r = FloatVector.broadcast(SPECIES, root[j]);
                FloatVector scaled = FloatVector.fromArray(SPECIES, v, at).mul(r);
                scaled.intoArray(out, at);
                total = scaled.fma(r, total);
                at += dim;
            }
            add(total, sum, d);
        }
    }

    @Override
    public void gram(int n, int dim, float[] z, float[] g) {
        for (int a = 0; a < dim; a += LANES) { // columns from a on: a block of rows skips what lies below the diagonal
            rowBlock(n, a, dim, z, a, dim, z, g);
        }
    }

    @Override
    public void product(int n, int dim, float[] z, int valueDim, float[] v, float[] g) {
        for (int a = 0; a < dim; a += LANES) {
            rowBlock(n, a, dim, z, 0, valueDim, v, g);
        }
    }

    /** LANES rows of g from row {@code a}, columns {@code from} on. */
    private static void rowBlock(int n, int a, int dim, float[] z, int from, int width, float[] v, float[] g) {
        int e = from;
        for (; e + 2 * LANES <= width; e += 2 * LANES) {
            for (int row = a; row < a + LANES; row += 4) {
                tile4x2(n, row, dim, z, e, width, v, g);
            }
        }
        if (e < width) {
            for (int row = a; row < a + LANES; row += 4) {
                tile4x1(n, row, dim, z, e, width, v, g);
            }
        }
    }

    private static void tile4x2(int n, int a, int dim, float[] z, int e, int width, float[] v, float[] g) {
        int g0 = a * width + e;
        int g1 = g0 + width;
        int g2 = g1 + width;
        int g3 = g2 + width;
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = FloatVector.zero(SPECIES);
        FloatVector c10 = FloatVector.zero(SPECIES);
        FloatVector c11 = FloatVector.zero(SPECIES);
        FloatVector c20 = FloatVector.zero(SPECIES);
        FloatVector c21 = FloatVector.zero(SPECIES);
        FloatVector c30 = FloatVector.zero(SPECIES);
        FloatVector c31 = FloatVector.zero(SPECIES);
        int at = a;
        int vat = e;
        for (int j = 0; j < n; j++) {
            FloatVector v0 = FloatVector.fromArray(SPECIES, v, vat);
            FloatVector v1 = FloatVector.fromArray(SPECIES, v, vat + LANES);
            FloatVector s = FloatVector.broadcast(SPECIES, z[at]);
            c00 = s.fma(v0, c00);
            c01 = s.fma(v1, c01);
            s = FloatVector.broadcast(SPECIES, z[at + 1]);
            c10 = s.fma(v0, c10);
            c11 = s.fma(v1, c11);
            s = FloatVector.broadcast(SPECIES, z[at + 2]);
            c20 = s.fma(v0, c20);
            c21 = s.fma(v1, c21);
            s = FloatVector.broadcast(SPECIES, z[at + 3]);
            c30 = s.fma(v0, c30);
            c31 = s.fma(v1, c31);
            at += dim;
            vat += width;
        }
        add(c00, g, g0);
        add(c01, g, g0 + LANES);
        add(c10, g, g1);
        add(c11, g, g1 + LANES);
        add(c20, g, g2);
        add(c21, g, g2 + LANES);
        add(c30, g, g3);
        add(c31, g, g3 + LANES);
    }

    private static void tile4x1(int n, int a, int dim, float[] z, int e, int width, float[] v, float[] g) {
        int g0 = a * width + e;
        int g1 = g0 + width;
        int g2 = g1 + width;
        int g3 = g2 + width;
        FloatVector c0 = FloatVector.zero(SPECIES);
        FloatVector c1 = FloatVector.zero(SPECIES);
        FloatVector c2 = FloatVector.zero(SPECIES);
        FloatVector c3 = FloatVector.zero(SPECIES);
        int at = a;
        int vat = e;
        for (int j = 0; j < n; j++) {
            FloatVector v0 = FloatVector.fromArray(SPECIES, v, vat);
            c0 = FloatVector.broadcast(SPECIES, z[at]).fma(v0, c0);
            c1 = FloatVector.broadcast(SPECIES, z[at + 1]).fma(v0, c1);
            c2 = FloatVector.broadcast(SPECIES, z[at + 2]).fma(v0, c2);
            c3 = FloatVector.broadcast(SPECIES, z[at + 3]).fma(v0, c3);
            at += dim;
            vat += width;
        }
        add(c0, g, g0);
        add(c1, g, g1);
        add(c2, g, g2);
        add(c3, g, g3);
    }

    /** Sums over a tile start from 0 and are added once, so that rounding grows with the number of tiles, not of keys. */
    private static void add(FloatVector part, float[] sum, int at) {
        FloatVector.fromArray(SPECIES, sum, at).add(part).intoArray(sum, at);
    }
}
