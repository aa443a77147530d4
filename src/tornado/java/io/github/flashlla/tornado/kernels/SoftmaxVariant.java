package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornadovm.Pass;

/** A variant of softmax attention, which LLA's cost is held against. Of the options it takes the mask, the scale and the precision. */
public interface SoftmaxVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.SOFTMAX;
    }

    /** Never a centre of keys. */
    BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** Adds its tasks, the last of them called {@code softmax}. */
    void append(TaskAppender tasks, VariantDevice device, SoftmaxBuffers buffers, AttentionShape shape, LlaOptions options);
}
