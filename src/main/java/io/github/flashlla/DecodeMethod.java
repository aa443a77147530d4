package io.github.flashlla;

import java.util.Locale;

/**
 * How a decoding step gets from the cache to the output; all give the same answer.
 *
 * <p>Work per (query, key) pair and the reads of the cache, with T iterations of conjugate gradients:
 *
 * <table>
 * <caption>Cost</caption>
 * <tr><th>method</th><th>flops</th><th>k read</th><th>v read</th></tr>
 * <tr><td>MOMENTS</td><td>D (D + 1) + 2 D Dv + 4 D + 2 Dv</td><td>1</td><td>1</td></tr>
 * <tr><td>COVARIANCE</td><td>D (D + 1) + 8 D + 2 Dv</td><td>2</td><td>1</td></tr>
 * <tr><td>MATRIX_FREE</td><td>(6 + 4 T) D + 2 Dv</td><td>1 + T</td><td>1</td></tr>
 * </table>
 */
public enum DecodeMethod {
    /** Whichever the device expects to be fastest for the lengths at hand. */
    AUTO,
    /** One read: accumulate sum w k k^T and sum w k v^T, solve by Cholesky, o = vbar - C^T x. */
    MOMENTS,
    /** Accumulate sum w k k^T only, solve by Cholesky, then o = sum p (1 - a) v in a second read of k. */
    COVARIANCE,
    /**
     * Conjugate gradients that read k once an iteration, no D x D matrix. The first step, along q, needs no read of its own
     * and does not count as an iteration. Between reads, three numbers per key and head are kept.
     */
    MATRIX_FREE;

    /** Its name in lower case, as {@link QuerySolves#computedBy()} has it. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
