package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Sizes and settings of a decoding step as its kernels take them: from memory, so that one kernel serves every capacity, batch and
 * number of heads, and every iteration of the solve. Head dims, the cache's type and the size of a unit are compiled in.
 */
final class DecodeData {
    // of the sizes
    /** Rows of a sequence in the cache. */
    static final int CAPACITY = 0;
    static final int KV_HEADS = 1;
    /** Query heads per key/value head. */
    static final int GROUP = 2;
    static final int HEADS = 3;
    /** Work-groups that share a unit's sequence. */
    static final int SPLITS = 4;
    /** The same of {@link TensorCoreCgFinish}. */
    static final int FINISHING_SPLITS = 5;
    /** Tiles of keys that a sequence has at most. */
    static final int TILES = 6;
    /** Iterations of the solve that are launched at most. */
    static final int ITERATIONS = 7;
    static final int VALUE_DIM = 8;
    /** Elements of o. */
    static final int OUTPUTS = 9;
    /** Heads of a unit, where they are not compiled in. */
    static final int UNIT_HEADS = 10;
    private static final int SIZES = 11;

    // of the settings
    static final int SCALE = 0;
    static final int TOLERANCE = 1;

    // of the counters: the iteration that runs, counted on the device, so that the tasks of all iterations are the same
    /** As multiply and finish read it; advance writes it. */
    static final int MULTIPLYING = 0;
    /** As advance reads it; multiply writes it. */
    static final int ADVANCING = 1;

    private DecodeData() {}

    /** @param capacity rows of a sequence in the cache */
    static IntArray sizes(AttentionShape shape, int capacity, int splits) {
        IntArray sizes = new IntArray(SIZES);
        sizes.init(0);
        sizes.set(CAPACITY, capacity);
        sizes.set(KV_HEADS, shape.kvHeads());
        sizes.set(GROUP, shape.group());
        sizes.set(HEADS, shape.heads());
        sizes.set(SPLITS, splits);
        sizes.set(FINISHING_SPLITS, splits);
        sizes.set(VALUE_DIM, shape.valueDim());
        sizes.set(OUTPUTS, shape.batch() * shape.heads() * shape.valueDim());
        return sizes;
    }

    static FloatArray settings(AttentionShape shape, LlaOptions options) {
        return FloatArray.fromElements((float) options.scaleFor(shape.headDim()), (float) options.tolerance());
    }

    /** Sets the counters before the first iteration. */
    static void begin(int thread, IntArray counters) {
        if (thread == 0) {
            counters.set(MULTIPLYING, 0);
            counters.set(ADVANCING, 0);
        }
    }

    /** The iteration that multiply runs in; it is handed on to advance, whose groups read it while none writes it. */
    static int multiplying(int thread, IntArray counters) {
        int pass = counters.get(MULTIPLYING);
        if (thread == 0) {
            counters.set(ADVANCING, pass);
        }
        return pass;
    }

    /** The iteration that advance runs in, the last task of it: multiply finds the next. */
    static int advancing(int thread, IntArray counters) {
        int pass = counters.get(ADVANCING);
        if (thread == 0) {
            counters.set(MULTIPLYING, pass + 1);
        }
        return pass;
    }
}
