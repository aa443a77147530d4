package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import java.util.Optional;

/** The covariance on half-precision matrix units, by operations of our own, for a float16 cache. */
public final class TileCovarianceVariant implements DecodeVariant {
    @Override
    public String id() {
        return "tile_covariance";
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.COVARIANCE;
    }

    /** Where the rounded matrix is too far from A for its few passes, or rounding counts for too much. */
    @Override
    public boolean mayLeaveUnsolved() {
        return true;
    }

    /** With more heads a key, or at head dim 128, matrices take longer than the passes that they save. */
    @Override
    public boolean leads(AttentionShape shape) {
        return shape.headDim() <= 64 && shape.group() == 1;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return CgDecodeVariant.unlessMatrixUnits(device, options)
                .or(() -> KernelVariant.unless(shape.headDim() == shape.valueDim() && TileDecode.takes(shape.headDim()),
                        "it takes D = Dv of 64 or 128"))
                .or(() -> KernelVariant.unlessTooLarge(TileCovarianceTasks.mostFloats(device, shape)))
                .or(() -> TileOperations.unavailable(device.info().name()));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int dim = shape.headDim();
        int heads = TileCovariance.headsPerUnit(shape.group());
        return new WorkGroupDemand(TileCovariance.threads(dim, heads), Math.max(TileCovariance.localBytes(dim, heads), TileDecode.localBytes(dim)));
    }

    @Override
    public DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io) {
        return new TileCovarianceTasks(cache, shape, options, device, io);
    }
}
