package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornadovm.Pass;

/** A variant of the forward pass. */
public interface ForwardVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.FORWARD;
    }

    /** Queries that iterate together. */
    int blockRows(AttentionShape shape);

    BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** Adds its tasks, the last of them called {@code lla_forward}. */
    void append(TaskAppender tasks, VariantDevice device, LlaBuffers buffers, AttentionShape shape, LlaOptions options);

    /** Work-groups where each has one block of queries of one head. */
    default long queryBlocks(AttentionShape shape) {
        return (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), blockRows(shape));
    }
}
