package io.github.flashlla.record;

/**
 * What a user waits for in a fresh process, first with empty caches and then with those that the first process left.
 *
 * @param empty with no answers of drivers and no compiled kernels kept, this project's or the driver's
 * @param warm the same once more
 */
public record ColdStart(Phases empty, Phases warm) {
    private static final double MOST_NS = 1e16;

    /**
     * Nanoseconds of each step, in their order.
     *
     * @param jvmNs from the start of the process until its first line of Java
     * @param surveyNs asking backends for their devices, in a process of its own; null for a device that none is asked for
     * @param openNs opening the device, with the start of TornadoVM
     * @param planNs preparing the shape
     * @param firstRunNs its first run
     * @param compileNs run-time compilation of the two by the device's account; null where it gives none
     * @param secondShapeNs preparing a shorter shape, and running it once
     */
    public record Phases(
            @Limits(max = MOST_NS) long jvmNs,
            @Limits(max = MOST_NS) Long surveyNs,
            @Limits(max = MOST_NS) long openNs,
            @Limits(max = MOST_NS) long planNs,
            @Limits(max = MOST_NS) long firstRunNs,
            @Limits(max = MOST_NS) Long compileNs,
            @Limits(max = MOST_NS) long secondShapeNs) {

        /** Until the first answer, the survey left out. */
        public long toAnswerNs() {
            return jvmNs + openNs + planNs + firstRunNs;
        }

        /** The same with the survey that a user would have waited for. */
        public Phases withSurvey(Long nanos) {
            return new Phases(jvmNs, nanos, openNs, planNs, firstRunNs, compileNs, secondShapeNs);
        }
    }
}
