package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornadovm.Pass;

/** A variant of decoding. The options' precision is that of the cache's elements on the device. */
public interface DecodeVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.DECODE;
    }

    DecodeMethod method();

    /** Its arrays and tasks for one plan. */
    DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io);
}
