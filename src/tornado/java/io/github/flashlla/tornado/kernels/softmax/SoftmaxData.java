package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A problem's sizes and its scale as the softmax kernels take them: from memory. TornadoVM compiles arguments into a kernel; without
 * them one kernel serves every batch, length, scale and mask.
 */
public final class SoftmaxData {
    /** Query heads, those of the whole batch. */
    public static final int HEADS = 0;
    /** Query heads per key/value head. */
    public static final int GROUP = 1;
    public static final int SQ = 2;
    public static final int SK = 3;
    /** Keys with those that fill the last tile of packed ones, here as in the sizes of the tile kernels. */
    public static final int PADDED_SK = 4;
    /** Keys that the first query sees, Sk or more where there is no mask; each further query sees one more. May be negative. */
    public static final int FIRST_SEES = 5;
    public static final int D = 6;
    public static final int DV = 7;

    private SoftmaxData() {}

    static IntArray sizes(AttentionShape s, LlaOptions options, long paddedKeys) {
        return IntArray.fromElements(s.batch() * s.heads(), s.group(), s.queryLength(), s.keyLength(), Math.toIntExact(paddedKeys),
                options.causal() ? 1 + s.keyLength() - s.queryLength() : s.keyLength(), s.headDim(), s.valueDim());
    }

    static FloatArray scale(AttentionShape shape, LlaOptions options) {
        return FloatArray.fromElements((float) options.scaleFor(shape.headDim()));
    }

    /** Keys that query {@code i} sees. */
    static int sees(int i, int firstSees, int Sk) {
        return Math.max(0, Math.min(Sk, i + firstSees));
    }
}
