package io.github.flashlla.jvm;

import io.github.flashlla.Tensor;

/** The project's measure of error. */
final class Errors {
    private Errors() {}

    /** ||a - reference|| / ||reference|| over the whole tensor; NaN if any element is. */
    static double relative(Tensor a, Tensor reference) {
        if (a.size() != reference.size()) {
            throw new IllegalArgumentException(a + " is not like " + reference);
        }
        double difference = 0;
        double norm = 0;
        for (long i = 0; i < a.size(); i++) {
            double d = a.get(i) - reference.get(i);
            difference += d * d;
            norm += reference.get(i) * reference.get(i);
        }
        return norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
    }

    /** Euclidean norm of all elements. */
    static double norm(Tensor tensor) {
        double sum = 0;
        for (long i = 0; i < tensor.size(); i++) {
            sum += tensor.get(i) * tensor.get(i);
        }
        return Math.sqrt(sum);
    }
}
