package io.github.flashlla.bench.host;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Fused multiply-adds of whole vector registers. Load this class only where the Vector API's module is present. */
final class VectorFma {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

    /** Short, so that the block is called often enough to be compiled within a round. */
    private static final int STEPS = 999;

    /** Takes the results, so that no compiler removes the work. */
    @SuppressWarnings("unused")
    private static volatile float sink;

    private VectorFma() {}

    /** Flops done in a little more than this many seconds. */
    static double flops(double seconds) {
        long began = System.nanoTime();
        long blocks = 0;
        do {
            sink = block(1.0001f, 1e-7f);
            blocks++;
        } while ((System.nanoTime() - began) / 1e9 < seconds);
        return blocks * (double) STEPS * 12 * 2 * SPECIES.length();
    }

    /**
     * Twelve chains: enough to hide a latency of five cycles at two per cycle. Written out three times, for it must be too
     * large to be inlined: within its caller's loop the compiler no longer keeps the vectors in registers, at a quarter of
     * the speed.
     */
    private static float block(float multiplier, float summand) {
        // made here, for the compiler keeps in registers only vectors that it saw being made
        FloatVector m = FloatVector.broadcast(SPECIES, multiplier);
        FloatVector c = FloatVector.broadcast(SPECIES, summand);
        FloatVector a0 = c.add(1), a1 = c.add(2), a2 = c.add(3), a3 = c.add(4), a4 = c.add(5), a5 = c.add(6);
        FloatVector a6 = c.add(7), a7 = c.add(8), a8 = c.add(9), a9 = c.add(10), a10 = c.add(11), a11 = c.add(12);
        for (int i = 0; i < STEPS; i += 3) {
            a0 = a0.fma(m, c);
            a1 = a1.fma(m, c);
            a2 = a2.fma(m, c);
            a3 = a3.fma(m, c);
            a4 = a4.fma(m, c);
            a5 = a5.fma(m, c);
            a6 = a6.fma(m, c);
            a7 = a7.fma(m, c);
            a8 = a8.fma(m, c);
            a9 = a9.fma(m, c);
            a10 = a10.fma(m, c);
            a11 = a11.fma(m, c);
            a0 = a0.fma(m, c);
            a1 = a1.fma(m, c);
            a2 = a2.fma(m, c);
            a3 = a3.fma(m, c);
            a4 = a4.fma(m, c);
            a5 = a5.fma(m, c);
            a6 = a6.fma(m, c);
            a7 = a7.fma(m, c);
            a8 = a8.fma(m, c);
            a9 = a9.fma(m, c);
            a10 = a10.fma(m, c);
            a11 = a11.fma(m, c);
            a0 = a0.fma(m, c);
            a1 = a1.fma(m, c);
            a2 = a2.fma(m, c);
            a3 = a3.fma(m, c);
            a4 = a4.fma(m, c);
            a5 = a5.fma(m, c);
            a6 = a6.fma(m, c);
            a7 = a7.fma(m, c);
            a8 = a8.fma(m, c);
            a9 = a9.fma(m, c);
            a10 = a10.fma(m, c);
            a11 = a11.fma(m, c);
        }
        return a0.add(a1).add(a2).add(a3).add(a4).add(a5).add(a6).add(a7).add(a8).add(a9).add(a10).add(a11)
                .reduceLanes(VectorOperators.ADD);
    }
}
