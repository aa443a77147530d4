package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.SolveState;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GradientSample;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What {@code run} says of its answer, and whether the answer may be kept.
 *
 * @param gradients null if none were asked for
 * @param type in which the output is written, and was checked
 * @param sample error of the output; null without --verify
 * @param gradientType of the gradients' types the coarsest; null without gradients
 * @param gradientSample error of the gradients; null without --verify or gradients
 */
record RunReport(DeviceInfo device, LlaOptions options, LlaResult result, LlaGradients gradients, DataType type, Accuracy.Sample sample,
        DataType gradientType, GradientSample gradientSample) {
    private static final double VERIFY_FLOOR = 1e-4;
    private static final double VERIFY_FLOOR_FLOAT16 = 5e-3;
    private static final double GRADIENT_FLOOR = 1e-3;
    private static final double GRADIENT_FLOOR_FLOAT16 = 1e-2;
    private static final double PER_TOLERANCE = 10;
    /** An error that leaves no digit. */
    private static final double NO_DIGIT = 1;

    /** One line about the run. */
    String summary() {
        String verified = sample == null ? ""
                : String.format(Locale.ROOT, ", error %.2e against float64 on %s", sample.error(), Numbers.count(sample.queries(), "query"));
        String verifiedGradients = gradientSample == null ? "" : String.format(Locale.ROOT, ", of gradients %.2e", gradientSample.error());
        String recomputed = result.recomputedRows() == 0 ? ""
                : ", " + Numbers.count(result.recomputedRows(), "query") + " in float64";
        return String.format(Locale.ROOT, "%s on %s%s: %.1f ms, iterations %d/%.1f/%d (min/mean/max), worst residual %.2e%s%s%s",
                result.shape(), device.name(), computedBy(), result.timing().wallNanos() / 1e6, result.minIterations(), result.meanIterations(),
                result.maxIterations(), result.worstResidual(), recomputed, verified, verifiedGradients);
    }

    /** Nothing where the device has one way. */
    private String computedBy() {
        String backward = gradients == null ? "" : gradients.computedBy();
        return (result.computedBy().isEmpty() ? "" : " by " + result.computedBy()) + (backward.isEmpty() ? "" : ", gradients by " + backward);
    }

    private static String orNull(String computedBy) {
        return computedBy.isEmpty() ? null : computedBy;
    }

    /** The same and more, for JSON. */
    Map<String, Object> stats() {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("shape", result.shape());
        all.put("device", device);
        all.put("computed_by", orNull(result.computedBy()));
        all.put("scale", options.scaleFor(result.shape().headDim()));
        all.put("tolerance", options.tolerance());
        all.put("wall_ms", result.timing().wallNanos() / 1e6);
        all.put("kernel_ms", result.timing().kernelNanos() < 0 ? null : result.timing().kernelNanos() / 1e6);
        all.put("iterations", Map.of("min", result.minIterations(), "mean", result.meanIterations(), "max", result.maxIterations()));
        all.put("worst_residual", result.worstResidual());
        all.put("unsolved_queries", result.count(SolveState.UNSOLVED, options.tolerance()));
        all.put("queries_limited_by_rounding", result.count(SolveState.LIMITED_BY_ROUNDING, options.tolerance()));
        all.put("queries_in_float64", result.recomputedRows());
        all.put("estimated_error", result.estimatedError());
        if (gradients != null) {
            all.put("gradients_computed_by", orNull(gradients.computedBy()));
            all.put("unsolved_gradient_queries", unsolvedGradients());
            all.put("gradient_queries_in_float64", gradients.recomputedRows());
        }
        if (sample != null) {
            all.put("error", sample.error());
            all.put("verified_queries", sample.queries());
        }
        if (gradientSample != null) {
            all.put("gradient_error", gradientSample.error());
            all.put("verified_all_gradients", gradientSample.whole());
        }
        return all;
    }

    /** Prints what is wrong with the answer; returns whether it may be written all the same. */
    boolean accepts(boolean allowUnsolved, PrintWriter err) {
        if (sample != null && misses("output misses", sample.error(), bar(VERIFY_FLOOR, VERIFY_FLOOR_FLOAT16), type, err)
                || gradientSample != null && misses("gradients miss", gradientSample.error(), bar(GRADIENT_FLOOR, GRADIENT_FLOOR_FLOAT16), gradientType, err)) {
            return false;
        }
        if (gradientSample != null && !gradientSample.whole()) {
            err.println("flashlla: of the gradients, dq and dridge of " + RunCommand.VERIFIED_QUERIES + " queries were held against float64; "
                    + "dk and dv need every query, and this problem is too large for that.");
        }
        long unsolved = result.count(SolveState.UNSOLVED, options.tolerance());
        long second = unsolvedGradients();
        if (unsolved + second > 0) {
            err.printf(Locale.ROOT, "flashlla: %d of %s did not reach --tol %s%s; a larger %s may help%s.%n",
                    Math.max(unsolved, second), Numbers.count(result.shape().rows(), "query"), Numbers.plain(options.tolerance()),
                    unsolved > 0 ? "" : " in the solve of the gradients",
                    options.precision() == DataType.FLOAT16 ? "--ridge or --precision float32" : "--max-iter or --ridge",
                    allowUnsolved ? "" : "; nothing was written (--allow-unsolved writes what there is)");
            if (!allowUnsolved) {
                return false;
            }
        }
        double estimate = result.estimatedError();
        if (estimate >= NO_DIGIT) {
            err.println("flashlla: warning: q and k are so large that rounding decides which keys count, and no digit of the output need be right; bring them to "
                    + "smaller numbers, or take a smaller --scale or a larger --ridge.");
        } else if (estimate > bar(VERIFY_FLOOR, VERIFY_FLOOR_FLOAT16)) {
            err.printf(Locale.ROOT, "flashlla: warning: rounding may put the output off by %.1e; a larger --ridge makes it more exact.%n",
                    estimate);
        }
        return true;
    }

    /** Says so if the error is above the bar and what rounding to the type of the file may add. */
    private static boolean misses(String what, double error, double bar, DataType type, PrintWriter err) {
        double most = bar + OutputType.rounding(type);
        if (error <= most) {
            return false;
        }
        err.printf(Locale.ROOT, "flashlla: the %s float64 by %.2e, more than %.1e%s; nothing was written.%n", what, error, most,
                type == DataType.FLOAT32 || type == DataType.FLOAT64 ? ""
                        : ", in the file's " + type.name().toLowerCase(Locale.ROOT) + " (--out-type names another)");
        return true;
    }

    private long unsolvedGradients() {
        return gradients == null ? 0 : gradients.count(SolveState.UNSOLVED, options.tolerance());
    }

    /** A solve that reaches the tolerance can be wrong by a small multiple of it. */
    private double bar(double float32Floor, double float16Floor) {
        double floor = options.precision() == DataType.FLOAT16 ? float16Floor : float32Floor;
        return Math.max(floor, PER_TOLERANCE * options.tolerance());
    }
}
