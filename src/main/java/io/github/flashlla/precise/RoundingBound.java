package io.github.flashlla.precise;

/**
 * What float32 rounding adds to what conjugate gradients say of themselves. Plans account for it in every result; callers of tasks in a
 * graph of their own, whose residual is the recurrence's, add it by themselves.
 */
public final class RoundingBound {
    private static final double EPS = 0x1p-24;

    private RoundingBound() {}

    /**
     * How far the true residual ||A x - b|| / ||b|| can be above the recurrence's: eps (1 + ||x|| ||k||^2 / ||b||).
     *
     * @param x ||x||; at most ||b|| / ridge
     * @param key largest ||k_j - mean key||
     * @param b ||kbar - q||
     */
    public static double ofResidual(double x, double key, double b) {
        return EPS * (1 + x * key * key / b);
    }

    /**
     * Relative rounding error of a query's output: eps (1 + 2 ||x|| ||k|| + |score| / 2).
     *
     * @param x ||x||
     * @param key largest ||k_j - mean key||
     * @param score largest |scale q.k_j|
     */
    public static double ofOutput(double x, double key, double score) {
        return EPS * (1 + 2 * x * key + 0.5 * score);
    }
}
