package io.github.flashlla;

import io.github.flashlla.text.Numbers;
import java.io.Serializable;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * How to compute Local Linear Attention. Each {@code with...} gives a copy with one component changed, and throws an {@link InvalidInputException} where
 * that is out of its range.
 *
 * @param scale score scale (1 / bandwidth), finite and not 0; {@link #DEFAULT_SCALE} stands for D^-1/2
 * @param ridge ridge on the slope, &gt; 0, relative to a query's total weight; used where the inputs carry none per query
 * @param causal query i sees keys j &lt;= i + (Sk - Sq) only
 * @param tolerance a query is solved when ||r|| &lt;= tolerance * ||kbar - q||; 0 &lt; tolerance &lt; 1
 * @param maxIterations cap on conjugate-gradient iterations, at least 1
 * @param preconditioner preconditioner of the solve
 * @param keepState also return kbar and x, which the backward pass needs
 * @param precision type of the factors of the products: {@link DataType#FLOAT32}, or {@link DataType#FLOAT16} on a device
 *     whose matrix units take it ({@link DeviceInfo#precisions()}): faster, and right to 5e-3 where float32 is to 1e-4. Sums, and
 *     the solve, are float32 in both
 * @param window W: query i sees its last W keys, i + (Sk - Sq) - W &lt; j &lt;= i + (Sk - Sq), and no block of keys that none of its
 *     queries see is visited; 0 for no window. Needs {@code causal}
 */
public record LlaOptions(
        double scale,
        double ridge,
        boolean causal,
        double tolerance,
        int maxIterations,
        Preconditioner preconditioner,
        boolean keepState,
        DataType precision,
        int window) implements Serializable {

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
        if (window < 0 || window > 0 && !causal) {
            throw new InvalidInputException(window < 0 ? "the window must be at least 1 key, or 0 for none, not " + window
                    : "a window of " + Numbers.count(window, "key") + " needs causal attention: it ends with the query's own key");
        }
        if (precision != DataType.FLOAT32 && precision != DataType.FLOAT16) {
            throw new InvalidInputException("the precision must be float32 or float16, not " + String.valueOf(precision).toLowerCase(Locale.ROOT));
        }
    }

    /** Scale D^-1/2, ridge 1, causal, tolerance 1e-5, at most 64 iterations, no preconditioner, no state kept, float32. */
    public static LlaOptions defaults() {
        return new LlaOptions(DEFAULT_SCALE, 1, true, 1e-5, 64, Preconditioner.NONE, false, DataType.FLOAT32, 0);
    }

    public LlaOptions withScale(double newScale) {
        return with(parts -> parts.scale = newScale);
    }

    public LlaOptions withRidge(double newRidge) {
        return with(parts -> parts.ridge = newRidge);
    }

    public LlaOptions withCausal(boolean newCausal) {
        return with(parts -> parts.causal = newCausal);
    }

    public LlaOptions withTolerance(double newTolerance) {
        return with(parts -> parts.tolerance = newTolerance);
    }

    public LlaOptions withMaxIterations(int newMaxIterations) {
        return with(parts -> parts.maxIterations = newMaxIterations);
    }

    public LlaOptions withPreconditioner(Preconditioner newPreconditioner) {
        return with(parts -> parts.preconditioner = newPreconditioner);
    }

    public LlaOptions withKeepState(boolean newKeepState) {
        return with(parts -> parts.keepState = newKeepState);
    }

    public LlaOptions withPrecision(DataType newPrecision) {
        return with(parts -> parts.precision = newPrecision);
    }

    /** Query i sees its last W keys only; 0 for no window. */
    public LlaOptions withWindow(int newWindow) {
        return with(parts -> parts.window = newWindow);
    }

    private LlaOptions with(Consumer<Parts> change) {
        Parts parts = new Parts(this);
        change.accept(parts);
        return parts.options();
    }

    /** The components, open to change: the one place that lists them beside the record's header. */
    private static final class Parts {
        private double scale;
        private double ridge;
        private boolean causal;
        private double tolerance;
        private int maxIterations;
        private Preconditioner preconditioner;
        private boolean keepState;
        private DataType precision;
        private int window;

        Parts(LlaOptions options) {
            scale = options.scale;
            ridge = options.ridge;
            causal = options.causal;
            tolerance = options.tolerance;
            maxIterations = options.maxIterations;
            preconditioner = options.preconditioner;
            keepState = options.keepState;
            precision = options.precision;
            window = options.window;
        }

        LlaOptions options() {
            return new LlaOptions(scale, ridge, causal, tolerance, maxIterations, preconditioner, keepState, precision, window);
        }
    }

    /**
     * Refuses a precision that a device has no kernel for.
     *
     * @throws InvalidInputException if float16 is asked of a device that does not list it
     */
    public void requirePrecisionOf(DeviceInfo device) {
        if (precision == DataType.FLOAT16 && !device.precisions().contains(DataType.FLOAT16)) {
            throw new InvalidInputException(device.name() + " does not compute products in float16; use float32, or a device that "
                    + "'flashlla devices' lists with float16.");
        }
    }

    /**
     * Refuses a window where a device computes softmax attention, or decodes over a part of the keys, without kernels for it.
     *
     * @throws InvalidInputException if there is one
     */
    public void requireNoWindow(String device) {
        if (window > 0) {
            throw new InvalidInputException(device + " has no kernels for a window in softmax attention, nor in decoding over a part of a head's keys; "
                    + "use the device jvm, or leave the window out.");
        }
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
