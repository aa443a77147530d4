package io.github.flashlla.tornado.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.verify.Accuracy;

/** Softmax attention in float64: LLA at a ridge so large that its slopes are 0 to every digit. */
public record SoftmaxExpected(LlaResult exact, boolean causal) {
    private static final double RIDGE = 1e100;

    public static SoftmaxExpected of(LlaInputs inputs, LlaOptions options) {
        LlaInputs withoutRidges = LlaInputs.of(inputs.q(), inputs.k(), inputs.v());
        try (Device reference = Devices.open("reference")) {
            return new SoftmaxExpected(reference.forward(withoutRidges.as(DataType.FLOAT64),
                    options.withRidge(RIDGE).withPrecision(DataType.FLOAT32)), options.causal());
        }
    }

    /** That the output and the log-sum-exps are as near, and queries without keys have 0 and minus infinity. */
    public void check(LlaResult found, double outputBar, double logSumExpBar) {
        double error = Accuracy.relativeError(found.output(), exact.output());
        assertTrue(error <= outputBar, "o is off by " + error + ", more than " + outputBar); // false for NaN
        int queries = found.shape().queryLength();
        int valueDim = found.shape().valueDim();
        for (int row = 0; row < found.shape().rows(); row++) {
            if (found.shape().visibleKeys(row % queries, causal) == 0) {
                assertEquals(Double.NEGATIVE_INFINITY, found.logSumExp().get(row), "query " + row);
                for (int d = 0; d < valueDim; d++) {
                    assertTrue(found.output().get((long) row * valueDim + d) == 0, "query " + row); // or -0
                }
            } else {
                double expected = exact.logSumExp().get(row);
                assertEquals(expected, found.logSumExp().get(row), logSumExpBar * Math.max(1, Math.abs(expected)), "query " + row);
            }
        }
    }
}
