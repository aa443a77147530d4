package io.github.flashlla;

/**
 * How to compute Local Linear Attention.
 *
 * @param scale score scale (1 / bandwidth), finite and not 0; {@link #DEFAULT_SCALE} stands for D^-1/2
 * @param ridge ridge on the slope, &gt; 0, relative to a query's total weight; used where the inputs carry none per query
 * @param causal query i sees keys j &lt;= i + (Sk - Sq) only
 * @param tolerance a query is solved when ||r|| &lt;= tolerance * ||kbar - q||; 0 &lt; tolerance &lt; 1
 * @param maxIterations cap on conjugate-gradient iterations, at least 1
 * @param preconditioner preconditioner of the solve
 * @param keepState also return kbar and x, which the backward pass needs
 */
public record LlaOptions(
        double scale,
        double ridge,
        boolean causal,
        double tolerance,
        int maxIterations,
        Preconditioner preconditioner,
        boolean keepState) {

    /** Stands for D^-1/2, the usual attention scale. */
    public static final double DEFAULT_SCALE = Double.NaN;

    public LlaOptions {
        if (Double.isInfinite(scale) || scale == 0) {
            throw new InvalidInputException("scale must be finite and not 0, not " + scale);
        }
        requireRidge(ridge);
        if (!(tolerance > 0 && tolerance < 1)) {
            throw new InvalidInputException("tolerance must lie between 0 and 1, not " + tolerance);
        }
        if (maxIterations < 1) {
            throw new InvalidInputException("the iteration cap must be at least 1, not " + maxIterations);
        }
        if (preconditioner == null) {
            throw new InvalidInputException("the preconditioner must not be null; use Preconditioner.NONE");
        }
    }

    /** Scale D^-1/2, ridge 1, causal, tolerance 1e-5, at most 64 iterations, no preconditioner, no state kept. */
    public static LlaOptions defaults() {
        return new LlaOptions(DEFAULT_SCALE, 1, true, 1e-5, 64, Preconditioner.NONE, false);
    }

    public LlaOptions withScale(double newScale) {
        return new LlaOptions(newScale, ridge, causal, tolerance, maxIterations, preconditioner, keepState);
    }

    public LlaOptions withRidge(double newRidge) {
        return new LlaOptions(scale, newRidge, causal, tolerance, maxIterations, preconditioner, keepState);
    }

    public LlaOptions withCausal(boolean newCausal) {
        return new LlaOptions(scale, ridge, newCausal, tolerance, maxIterations, preconditioner, keepState);
    }

    public LlaOptions withTolerance(double newTolerance) {
        return new LlaOptions(scale, ridge, causal, newTolerance, maxIterations, preconditioner, keepState);
    }

    public LlaOptions withMaxIterations(int newMaxIterations) {
        return new LlaOptions(scale, ridge, causal, tolerance, newMaxIterations, preconditioner, keepState);
    }

    public LlaOptions withPreconditioner(Preconditioner newPreconditioner) {
        return new LlaOptions(scale, ridge, causal, tolerance, maxIterations, newPreconditioner, keepState);
    }

    public LlaOptions withKeepState(boolean newKeepState) {
        return new LlaOptions(scale, ridge, causal, tolerance, maxIterations, preconditioner, newKeepState);
    }

    /** The score scale for this head dim, with the default filled in. */
    public double scaleFor(int headDim) {
        return Double.isNaN(scale) ? 1 / Math.sqrt(headDim) : scale;
    }

    static void requireRidge(double ridge) {
        if (!(ridge > 0) || Double.isInfinite(ridge)) {
            throw new InvalidInputException("the ridge must be finite and greater than 0, not " + ridge);
        }
    }
}
