package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornadovm.Pass;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** A variant of the forward pass. */
public interface ForwardVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.FORWARD;
    }

    /** Queries that iterate together. */
    int blockRows(AttentionShape shape);

    BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** Whether its tasks take Sk from {@code sizes}, so that it may change from run to run. */
    default boolean readsSizes() {
        return false;
    }

    /**
     * Adds its tasks, the last of them called {@code lla_forward}.
     *
     * @param shape whose lengths are the most that there will be
     * @param sizes of {@link ProblemData}, which the caller transfers
     */
    void append(TaskAppender tasks, VariantDevice device, LlaBuffers buffers, AttentionShape shape, LlaOptions options, IntArray sizes);

    /** Work-groups where each has one block of queries of one head. */
    default long queryBlocks(AttentionShape shape) {
        return (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), blockRows(shape));
    }
}
