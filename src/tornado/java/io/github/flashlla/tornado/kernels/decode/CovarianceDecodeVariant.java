package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Optional;

/** The D x D covariance of every head, and its Cholesky factors; every head dim. */
public final class CovarianceDecodeVariant implements DecodeVariant {

    @Override
    public String id() {
        return "covariance";
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.COVARIANCE;
    }

    /** A query sees the newest tokens of its sequence, as many as the window has. */
    @Override
    public boolean takesSpans() {
        return true;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unlessTooLarge(DecodeGrid.of(device, shape, options.window()).largestFloats(shape));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return DecodeGrid.of(device, shape, options.window()).demand(shape);
    }

    @Override
    public DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io) {
        return tasks(device, PagedArrays.of(cache, shape.batch()), shape, options.window(), io);
    }

    /**
     * The same over a cache in pages.
     *
     * @param window 0 for none
     */
    public static CovarianceDecodeTasks tasks(VariantDevice device, PagedArrays cache, AttentionShape shape, int window, DecodeArrays io) {
        return new CovarianceDecodeTasks(cache, shape, window, DecodeGrid.of(device, shape, window), io);
    }
}
