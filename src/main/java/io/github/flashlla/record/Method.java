package io.github.flashlla.record;

import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.List;

/**
 * How a workload was solved; measurements that differ only here solve the same problem at another accuracy or cost.
 *
 * @param operator {@code lla}, or {@code softmax} for a yardstick that computes softmax attention
 * @param tolerance relative residual at which a query is solved; null where an implementation only counts iterations
 * @param maxIterations cap on conjugate-gradient iterations; null where there is no solve
 * @param preconditioner {@code none} or {@code jacobi}
 * @param dataType element type of q, k and v: {@code float32}, {@code float16} or {@code bfloat16}
 * @param precision type of the products' factors where an option asked for another one than float32; otherwise null
 * @param kernel the forward kernel that an option asked for, such as {@code parallel}, or the one that {@code tune} tried; otherwise null
 */
public record Method(
        @Limits(words = {"lla", "softmax"}) String operator,
        @Limits(above = true, max = 1) Double tolerance,
        @Limits(min = 1) Integer maxIterations,
        @Limits(optional = true, words = {"none", "jacobi"}) String preconditioner,
        @Limits(words = {"float32", "float16", "bfloat16", "float64"}) String dataType,
        @Limits(optional = true, words = "float16") String precision,
        @Limits(optional = true) String kernel) {

    /** The same, solved by this kernel. */
    public Method withKernel(String name) {
        return new Method(operator, tolerance, maxIterations, preconditioner, dataType, precision, name);
    }

    /** One line for people, such as {@code tol 1e-3 float32}. */
    public String label() {
        return String.join(" ", parts());
    }

    /** The pieces of {@link #label()}. */
    public List<String> parts() {
        List<String> parts = new ArrayList<>();
        if (!operator.equals("lla")) {
            parts.add(operator);
        }
        if (tolerance != null) {
            parts.add("tol " + Numbers.plain(tolerance));
        } else if (maxIterations != null) {
            parts.add(Numbers.count(maxIterations, "iteration"));
        }
        if (preconditioner != null && !preconditioner.equals("none")) {
            parts.add(preconditioner);
        }
        if (!dataType.equals(precision)) {
            parts.add(dataType + (precision == null ? "" : ","));
        }
        if (precision != null) {
            parts.add(precision + " products");
        }
        if (kernel != null) {
            parts.add("kernel " + kernel);
        }
        return parts;
    }
}
