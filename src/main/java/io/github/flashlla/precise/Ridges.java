package io.github.flashlla.precise;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;

/**
 * Each query's ridge, as devices read it.
 *
 * @param perQuery (B,H,Sq), or null for the shared one
 */
record Ridges(Tensor perQuery, double shared) {

    static Ridges of(LlaInputs inputs, LlaOptions options) {
        return new Ridges(inputs.ridge(), options.ridge());
    }

    double of(int row) {
        return perQuery == null ? shared : (float) perQuery.get(row);
    }

    double smallest() {
        if (perQuery == null) {
            return shared;
        }
        double least = Double.MAX_VALUE;
        for (int row = 0; row < perQuery.size(); row++) {
            least = Math.min(least, of(row));
        }
        return least;
    }
}
