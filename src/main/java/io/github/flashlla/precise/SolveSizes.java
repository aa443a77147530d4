package io.github.flashlla.precise;

/**
 * What the rounding of one query's solve grows with, per query, (B,H,Sq) row-major.
 *
 * @param x ||x||
 * @param b ||kbar - q||
 * @param effectiveKeys exp of the entropy of the weights: how many keys share the weight
 */
public record SolveSizes(float[] x, float[] b, float[] effectiveKeys) {

    /** Room for {@code rows} queries. */
    public static SolveSizes of(int rows) {
        return new SolveSizes(new float[rows], new float[rows], new float[rows]);
    }
}
