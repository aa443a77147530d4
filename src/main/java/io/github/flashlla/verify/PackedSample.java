package io.github.flashlla.verify;

import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.GradientSample.Found;

/** Packed sequences held against float64, each as a problem of its own; the error is that of the worst. */
public final class PackedSample {
    private PackedSample() {}

    /**
     * Error of the output.
     *
     * @param output o (1,H,Sq,Dv) of all sequences
     * @param queries how many to hold in all; at least one of each sequence
     * @return the largest relative error of a sequence, and how many queries were held
     */
    public static Accuracy.Sample error(LlaInputs inputs, Sequences sequences, LlaOptions options, Tensor output, int queries) {
        double worst = 0;
        int held = 0;
        for (int s = 0; s < sequences.count(); s++) {
            Part part = Part.of(sequences, s);
            if (part.queries() > 0) {
                Accuracy.Sample sample = Accuracy.sampledError(part.of(inputs), options, part.rows(output), Math.max(1, queries / sequences.count()));
                worst = Math.max(worst, sample.error()); // Math.max keeps NaN
                held += sample.queries();
            }
        }
        return new Accuracy.Sample(worst, held);
    }

    /**
     * Error of gradients. Keys that no query sees must have gradients of 0.
     *
     * @param gradOutput dL/do (1,H,Sq,Dv)
     * @param queries how many of a sequence to hold where not all of them can be
     */
    public static GradientSample gradients(LlaInputs inputs, Sequences sequences, LlaOptions options, Tensor gradOutput, Found found,
            int queries) {
        double worst = 0;
        boolean whole = true;
        for (int s = 0; s < sequences.count(); s++) {
            Part part = Part.of(sequences, s);
            if (part.queries() == 0) {
                worst = Math.max(worst, Math.max(largest(part.keys(found.dk())), largest(part.keys(found.dv()))));
                continue;
            }
            GradientSample sample = GradientSample.of(part.of(inputs), options, part.rows(gradOutput),
                    new Found(part.rows(found.dq()), part.keys(found.dk()), part.keys(found.dv()), part.rows(found.dridge())), queries);
            worst = Math.max(worst, sample.error());
            whole &= sample.whole();
        }
        return new GradientSample(worst, whole);
    }

    private static double largest(Tensor tensor) {
        double largest = 0;
        for (long i = 0; i < tensor.size(); i++) {
            largest = Math.max(largest, Math.abs(tensor.get(i)));
        }
        return largest;
    }

    /** Where one sequence lies. */
    private record Part(int firstQuery, int queries, int firstKey, int keys) {

        static Part of(Sequences sequences, int s) {
            int[] queries = sequences.queryOffsets();
            int[] keys = sequences.keyOffsets();
            return new Part(queries[s], queries[s + 1] - queries[s], keys[s], keys[s + 1] - keys[s]);
        }

        LlaInputs of(LlaInputs all) {
            return new LlaInputs(rows(all.q()), keys(all.k()), keys(all.v()), all.ridge() == null ? null : rows(all.ridge()));
        }

        Tensor rows(Tensor all) {
            return all.part(2, firstQuery, queries);
        }

        Tensor keys(Tensor all) {
            return all.part(2, firstKey, keys);
        }
    }
}
