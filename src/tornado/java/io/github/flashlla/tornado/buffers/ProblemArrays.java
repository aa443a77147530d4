package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A problem's sizes and settings on the device, and what of them a kernel is compiled for.
 *
 * @param sizes see {@link ProblemData}
 * @param settings see {@link ProblemData}
 * @param flags see {@link Masking}
 */
public record ProblemArrays(IntArray sizes, FloatArray settings, int flags) {

    /**
     * Those of a problem.
     *
     * @param sequences null where batch entries are the only sequences
     * @param strided whether {@link #place} says where tensors lie; otherwise they are row-major
     * @param packed whether q and v are in the array of k
     */
    public static ProblemArrays of(AttentionShape shape, LlaOptions options, Sequences sequences, boolean strided, boolean packed) {
        boolean spans = hasSpans(options, sequences);
        ProblemArrays problem = new ProblemArrays(ProblemData.sizes(shape, options, spans), ProblemData.settings(shape, options),
                Masking.flags(options) | (spans ? Masking.SPANS : 0) | (strided ? Masking.STRIDED : 0)
                        | (packed ? Masking.PACKED : 0));
        if (spans) {
            problem.sizes.set(ProblemData.STRIP, sequences == null ? strip(shape, options) : shape.keyLength());
            problem.setSpans(shape, options, sequences);
        }
        return problem;
    }

    /** Whether the keys that a query sees are read from memory. */
    public static boolean hasSpans(LlaOptions options, Sequences sequences) {
        return options.window() > 0 || sequences != null;
    }

    /** Most keys between the first and the last that a block of queries sees; all of them where there are sequences. */
    public static int strip(AttentionShape shape, LlaOptions options) {
        return options.window() == 0 ? shape.keyLength()
                : (int) Math.min(shape.keyLength(), (long) options.window() + ProblemData.BLOCK_AND_TILE);
    }

    /** Where a tensor of dims (B,H,S,D) lies, one of {@link Views}. */
    public void place(int view, ArrayView where, long[] dims) {
        Strides strides = where.strides(dims);
        Views.set(sizes, view, Math.toIntExact(strides.offset()), (int) strides.batch(), (int) strides.head(), (int) strides.row());
    }

    /** Which keys every query sees, and which queries every key; for the next copy to the device. */
    public void setSpans(AttentionShape shape, LlaOptions options, Sequences sequences) {
        int Sq = shape.queryLength();
        int Sk = shape.keyLength();
        int[] queries = sequences == null ? new int[] {0, Sq} : sequences.queryOffsets();
        int[] keys = sequences == null ? new int[] {0, Sk} : sequences.keyOffsets();
        for (int s = 0; s + 1 < queries.length; s++) {
            int length = queries[s + 1] - queries[s];
            if (length > 0) {
                AttentionShape own = new AttentionShape(1, 1, 1, length, keys[s + 1] - keys[s], shape.headDim(), shape.valueDim());
                for (int i = 0; i < length; i++) {
                    ProblemData.setSpan(sizes, queries[s] + i, keys[s] + own.firstKey(i, options), keys[s] + own.visibleKeys(i, options.causal()));
                }
            }
        }
        // both ends of spans never fall from one query to the next
        int first = 0;
        int end = 0;
        for (int j = 0; j < Sk; j++) {
            while (first < Sq && ProblemData.end(sizes, first) <= j) {
                first++;
            }
            while (end < Sq && ProblemData.first(sizes, end) <= j) {
                end++;
            }
            ProblemData.setSpan(sizes, Sq + j, Math.min(first, end), end);
        }
    }

    /** Keys that query {@code i} sees. */
    public int seen(AttentionShape shape, int i, boolean causal) {
        return (flags & Masking.SPANS) != 0 ? ProblemData.end(sizes, i) - ProblemData.first(sizes, i) : shape.visibleKeys(i, causal);
    }

    /** The same spans, sizes and settings with tensors of its own to place. */
    ProblemArrays copy(boolean strided) {
        IntArray sizesCopy = new IntArray(sizes.getSize());
        for (int n = 0; n < sizes.getSize(); n++) {
            sizesCopy.set(n, sizes.get(n));
        }
        FloatArray settingsCopy = new FloatArray(settings.getSize()); // no graph is given an array twice
        for (int n = 0; n < settings.getSize(); n++) {
            settingsCopy.set(n, settings.get(n));
        }
        return new ProblemArrays(sizesCopy, settingsCopy, strided ? flags | Masking.STRIDED : flags);
    }
}
