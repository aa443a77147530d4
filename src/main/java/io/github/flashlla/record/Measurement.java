package io.github.flashlla.record;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.stream.LongStream;
import org.apache.commons.statistics.descriptive.Quantile;

/**
 * One workload on one device: times if it was measured, and a message if it was not.
 *
 * @param device the device's name, one of the record's {@link DeviceFacts}
 * @param workload the problem
 * @param method how it was solved
 * @param status how it ended
 * @param message why the status is not ok, else null
 * @param times null unless it ran
 * @param rates null unless it ran
 * @param accuracy error against float64; present whenever times are
 * @param solve what the solver did; null unless it ran, and where an implementation does not tell
 * @param backwardSolve what the second solve did; null without a backward pass
 * @param memory null unless it ran
 * @param energy null unless it ran on a device that counts it
 * @param coldStart null unless it was asked for
 */
public record Measurement(
        String device,
        Workload workload,
        Method method,
        Status status,
        @Limits(optional = true, length = 4000) String message,
        @Limits(optional = true) Times times,
        @Limits(optional = true) Rates rates,
        @Limits(optional = true) AccuracyCheck accuracy,
        @Limits(optional = true) Solve solve,
        @Limits(optional = true) Solve backwardSolve,
        @Limits(optional = true) Memory memory,
        @Limits(optional = true) Energy energy,
        @Limits(optional = true) ColdStart coldStart) {

    private static final int MAX_MESSAGE = 2000;

    /** Beyond 100 days a time is a mistake. */
    private static final double MOST_NS = 1e16;

    private static final int MOST_SAMPLES = 100_000;

    public Measurement {
        if (message != null && message.length() > MAX_MESSAGE) {
            message = message.substring(0, MAX_MESSAGE) + "...";
        }
    }

    /** Of unknown energy. */
    public Measurement(String device, Workload workload, Method method, Status status, String message, Times times, Rates rates, AccuracyCheck accuracy,
            Solve solve, Solve backwardSolve, Memory memory) {
        this(device, workload, method, status, message, times, rates, accuracy, solve, backwardSolve, memory, null);
    }

    /** Of an unknown cold start. */
    public Measurement(String device, Workload workload, Method method, Status status, String message, Times times, Rates rates, AccuracyCheck accuracy,
            Solve solve, Solve backwardSolve, Memory memory, Energy energy) {
        this(device, workload, method, status, message, times, rates, accuracy, solve, backwardSolve, memory, energy, null);
    }

    /** The same with a cold start. */
    public Measurement withColdStart(ColdStart start) {
        return new Measurement(device, workload, method, status, message, times, rates, accuracy, solve, backwardSolve, memory, energy, start);
    }

    /** The same with other times, and the rates that they give. */
    public Measurement withTimes(Times other, DeviceFacts.Ceilings ceilings) {
        return new Measurement(device, workload, method, status, message, other, Rates.of(rates.flops(), rates.bytes(), other.computeNs(), method, ceilings),
                accuracy, solve, backwardSolve, memory, energy, coldStart);
    }

    /** The same, told apart by the kernel that was tried. */
    public Measurement withKernel(String kernel) {
        return new Measurement(device, workload, method.withKernel(kernel), status, message, times, rates, accuracy, solve, backwardSolve, memory, energy, coldStart);
    }

    /** One that did not come to be measured. */
    public static Measurement missing(String device, Workload workload, Method method, Status status, String message) {
        String reason = message == null || message.isBlank() ? "no reason was given" : message;
        return new Measurement(device, workload, method, status, reason, null, null, null, null, null, null);
    }

    /**
     * Times in nanoseconds. Samples are of warm runs, in the order they were taken; a list that a device cannot fill is
     * null.
     *
     * @param planNs preparing the shape: buffers, and whatever is compiled then
     * @param firstRunNs wall time of the first run, with the JIT's or the driver's compilation in it
     * @param compileNs run-time compilation in the first run by the device's account
     * @param warmUpRuns runs before the samples
     * @param settled whether run times had settled before the samples were taken
     * @param wallNs host time of each run
     * @param kernelNs the kernels' time in each run by the device's own clock
     * @param copyInNs host to device
     * @param copyOutNs device to host
     * @param medianNs median of {@code wallNs}
     * @param p20Ns 20th percentile of {@code wallNs}
     * @param p80Ns 80th percentile of {@code wallNs}
     * @param kernelMedianNs median of {@code kernelNs}
     * @param processRuns how many of the samples each process took, in order; null for one process
     */
    public record Times(
            @Limits(max = MOST_NS) Long planNs,
            @Limits(max = MOST_NS) Long firstRunNs,
            @Limits(max = MOST_NS) Long compileNs,
            @Limits(max = 1e9) int warmUpRuns,
            boolean settled,
            @Limits(min = 1, max = MOST_NS, length = MOST_SAMPLES) long[] wallNs,
            @Limits(optional = true, max = MOST_NS, length = MOST_SAMPLES) long[] kernelNs,
            @Limits(optional = true, max = MOST_NS, length = MOST_SAMPLES) long[] copyInNs,
            @Limits(optional = true, max = MOST_NS, length = MOST_SAMPLES) long[] copyOutNs,
            @Limits(above = true, max = MOST_NS) double medianNs,
            @Limits(above = true, max = MOST_NS) double p20Ns,
            @Limits(above = true, max = MOST_NS) double p80Ns,
            @Limits(max = MOST_NS) Double kernelMedianNs,
            @Limits(optional = true, min = 1, max = MOST_SAMPLES, length = 1000) int[] processRuns) {

        /** Fills in the summary. */
        public static Times of(Long planNs, Long firstRunNs, Long compileNs, int warmUpRuns,
                boolean settled, long[] wallNs, long[] kernelNs, long[] copyInNs, long[] copyOutNs) {
            return new Times(planNs, firstRunNs, compileNs, warmUpRuns, settled, wallNs, kernelNs, copyInNs, copyOutNs,
                    quantile(wallNs, 0.5), quantile(wallNs, 0.2), quantile(wallNs, 0.8),
                    kernelNs == null ? null : quantile(kernelNs, 0.5), null);
        }

        /** The same samples, taken by processes of this many runs each. */
        public Times withProcesses(int[] runs) {
            return new Times(planNs, firstRunNs, compileNs, warmUpRuns, settled, wallNs, kernelNs, copyInNs, copyOutNs, medianNs, p20Ns, p80Ns, kernelMedianNs,
                    runs);
        }

        /** The samples of this process and of one after it; what happens once in a process stays this one's. */
        public Times and(Times next) {
            int[] runs = processRuns == null ? new int[] {wallNs.length} : processRuns;
            int[] all = Arrays.copyOf(runs, runs.length + 1);
            all[runs.length] = next.wallNs.length;
            return of(planNs, firstRunNs, compileNs, warmUpRuns, settled && next.settled, joined(wallNs, next.wallNs), joined(kernelNs, next.kernelNs),
                    joined(copyInNs, next.copyInNs), joined(copyOutNs, next.copyOutNs)).withProcesses(all);
        }

        private static long[] joined(long[] a, long[] b) {
            return a == null || b == null ? null : LongStream.concat(Arrays.stream(a), Arrays.stream(b)).toArray();
        }

        /** Each process's median of these samples; one median where there is one process. */
        public double[] processMedians(long[] samples) {
            int[] runs = processRuns == null ? new int[] {samples.length} : processRuns;
            double[] medians = new double[runs.length];
            int from = 0;
            for (int n = 0; n < runs.length; n++) {
                medians[n] = quantile(Arrays.copyOfRange(samples, from, from + runs[n]), 0.5);
                from += runs[n];
            }
            return medians;
        }

        /** The device's own time where it has a clock, else wall time: what rates are made of. */
        public double computeNs() {
            return kernelMedianNs == null ? medianNs : kernelMedianNs;
        }

        /** Median of both ways of a run's transfers together; null where the device does not tell or nothing moves. */
        public Double transferMedianNs() {
            if (copyInNs == null || copyOutNs == null) {
                return null;
            }
            long[] both = new long[Math.min(copyInNs.length, copyOutNs.length)];
            Arrays.setAll(both, i -> copyInNs[i] + copyOutNs[i]);
            return both.length == 0 ? null : quantile(both, 0.5);
        }

        /**
         * What the host adds to a run: the wall time's median less the kernels' and the transfers', so that the three add up to it. Below 0
         * where a device copies while it computes; null where the device has no clock of its own.
         */
        public Double hostMedianNs() {
            Double transfers = transferMedianNs();
            return kernelMedianNs == null ? null : medianNs - kernelMedianNs - (transfers == null ? 0 : transfers);
        }

        /**
         * Half the distance from the 20th to the 80th percentile.
         *
         * @param samples wall times or kernel times
         */
        public static double halfSpreadNs(long[] samples) {
            return (quantile(samples, 0.8) - quantile(samples, 0.2)) / 2;
        }

        /**
         * The spread for people, with a word where run times had not settled; a single sample has none.
         *
         * @param samples wall times or kernel times
         */
        public String spreadWords(long[] samples) {
            return (samples.length < 2 ? "-" : Numbers.roughPercent(halfSpreadNs(samples) / quantile(samples, 0.5)))
                    + (settled ? "" : " unsettled");
        }

        private static double quantile(long[] samples, double p) {
            return Quantile.withDefaults().evaluate(Arrays.stream(samples).asDoubleStream().toArray(), p);
        }
    }

    /**
     * Counted work over time.
     *
     * @param flops by the operator's count, at the iterations that ran
     * @param bytes q, k, v and o (for backward their gradients too), each moved once: the least that must move
     * @param tflops 10^12 flops per second of kernel time, or of wall time where the device has no clock of its own
     * @param gbps 10^9 bytes per second of the same time
     * @param shareOfFma of the device's own ceiling: of matrix products where the method's are in float16 and that was measured, else of
     *     fused multiply-adds; null where that was not measured
     * @param shareOfCopy of the device's own copy ceiling; null where that was not measured
     */
    public record Rates(
            @Limits(above = true, max = 1e24) double flops,
            @Limits(above = true, max = 1e18) double bytes,
            @Limits(above = true, max = 1e6) double tflops,
            @Limits(above = true, max = 1e9) double gbps,
            @Limits(max = 1e6) Double shareOfFma,
            @Limits(max = 1e6) Double shareOfCopy) {

        /** Fills in the rates. */
        public static Rates of(double flops, double bytes, double computeNs, Method method, DeviceFacts.Ceilings ceilings) {
            double tflops = flops / computeNs / 1e3;
            double gbps = bytes / computeNs;
            return new Rates(flops, bytes, tflops, gbps,
                    ceilings == null || ceilings.tflops(method) == null ? null : tflops / ceilings.tflops(method),
                    ceilings == null || ceilings.copyGbps() == null ? null : gbps / ceilings.copyGbps());
        }
    }

    /**
     * The answer against the float64 reference on the same inputs.
     *
     * @param error ||o - ref|| / ||ref||, over the sampled queries; for backward the worst of the gradients' errors;
     *     null where the answer was not finite
     * @param bar largest error that counts as right
     * @param queries sampled queries
     */
    public record AccuracyCheck(Double error, @Limits(above = true, max = 1) double bar, @Limits(min = 1, max = 1e15) long queries) {
        @JsonIgnore
        public boolean passed() {
            return error != null && error <= bar;
        }
    }

    /**
     * What the solver did, over all queries.
     *
     * @param minIterations the fewest of any query
     * @param meanIterations the queries' mean
     * @param maxIterations the most of any query
     * @param worstResidual largest ||r|| / ||kbar - q||; null where it was not finite
     * @param unsolved queries that met the cap before the tolerance
     * @param limited queries whose recurrence is within the tolerance, but not their true residual; null in older records
     * @param recomputed queries that were solved in float64; null in older records
     * @param estimatedError rounding error of o, ||o - exact|| / ||o||, as the result estimates it; null in backward, where the
     *     device does not tell, and in older records
     * @param pairIterations iterations summed over the (query, key) pairs they ran on
     */
    public record Solve(
            int minIterations,
            @Limits(max = Integer.MAX_VALUE) double meanIterations,
            int maxIterations,
            Double worstResidual,
            @Limits(max = 1e15) long unsolved,
            @Limits(max = 1e15) Long limited,
            @Limits(max = 1e15) Long recomputed,
            Double estimatedError,
            @Limits(max = 1e24) double pairIterations) {

        /** Iterations, and what is not as it should be, for people. */
        public String words(String separator) {
            return minIterations + separator + Numbers.digits(meanIterations) + separator + maxIterations + count(unsolved, " unsolved")
                    + count(limited, " limited by rounding") + count(recomputed, " in float64");
        }

        private static String count(Long queries, String what) {
            return queries == null || queries == 0 ? "" : ", " + queries + what;
        }
    }

    /**
     * Bytes.
     *
     * @param tensorBytes q, k, v and o
     * @param workspaceBytes held by the device beyond them, on host or device; null where it cannot tell
     * @param workingSetBytes what the Java heap held beyond them after a run, measured by full collections before the
     *     plan was made and after its first run; null where the work is not done on the heap
     * @param hostPeakBytes largest resident set of the process so far; null where the system does not tell
     */
    public record Memory(@Limits(min = 1) long tensorBytes, Long workspaceBytes, Long workingSetBytes, @Limits(min = 1) Long hostPeakBytes) {}
}
