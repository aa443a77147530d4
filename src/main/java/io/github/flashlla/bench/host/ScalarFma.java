package io.github.flashlla.bench.host;

/** Fused multiply-adds, one float at a time. */
final class ScalarFma {
    private static final int BLOCK = 1 << 12;

    /** Takes the results, so that no compiler removes the work. */
    @SuppressWarnings("unused")
    private static volatile float sink;

    private ScalarFma() {}

    /** Flops done in a little more than this many seconds. */
    static double flops(double seconds) {
        long began = System.nanoTime();
        long blocks = 0;
        do {
            sink = block(1.0001f, 1e-7f);
            blocks++;
        } while ((System.nanoTime() - began) / 1e9 < seconds);
        return blocks * (double) BLOCK * 8 * 2;
    }

    private static float block(float m, float c) {
        float a0 = 1, a1 = 2, a2 = 3, a3 = 4, a4 = 5, a5 = 6, a6 = 7, a7 = 8;
        for (int i = 0; i < BLOCK; i++) {
            a0 = Math.fma(a0, m, c);
            a1 = Math.fma(a1, m, c);
            a2 = Math.fma(a2, m, c);
            a3 = Math.fma(a3, m, c);
            a4 = Math.fma(a4, m, c);
            a5 = Math.fma(a5, m, c);
            a6 = Math.fma(a6, m, c);
            a7 = Math.fma(a7, m, c);
        }
        return a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
    }
}
