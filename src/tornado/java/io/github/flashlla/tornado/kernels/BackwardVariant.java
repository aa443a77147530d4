package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornadovm.Pass;

/** A variant of the backward pass. */
public interface BackwardVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.BACKWARD;
    }

    /** Queries that iterate together. */
    int blockRows(AttentionShape shape);

    /** Floats of global memory that work-groups compute in. */
    long scratchFloats(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** float16 elements of keys, values and rows of queries in the order that the kernels read them. */
    default long packedHalves(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return 0;
    }

    /** Adds its tasks. */
    void append(TaskAppender tasks, VariantDevice device, BackwardBuffers buffers, AttentionShape shape, LlaOptions options);
}
