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

/** Preconditioned conjugate gradients on half-precision matrix units, by operations of our own, for a float16 cache. */
public final class TilePcgVariant implements DecodeVariant {
    /** Keys from which on passes that are saved count for more than the inverse. */
    private static final int FEWEST_KEYS = 32768;

    @Override
    public String id() {
        return "tile_pcg";
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int fewest = TilePcgTasks.fewest(device);
        return CgDecodeVariant.unlessMatrixUnits(device, options)
                .or(() -> KernelVariant.unless(shape.headDim() == TilePcg.DIM && shape.valueDim() == TilePcg.DIM, "it takes D = Dv = " + TilePcg.DIM))
                .or(() -> KernelVariant.unless(shape.group() <= TilePcg.HEADS, "it takes up to " + TilePcg.HEADS + " heads of a key/value head"))
                .or(() -> KernelVariant.unless(shape.batch() * shape.kvHeads() >= fewest,
                        "it needs B x Hkv of at least " + fewest + ", to have work for the whole device"))
                .or(() -> KernelVariant.unless(shape.keyLength() >= FEWEST_KEYS, "it takes caches of " + FEWEST_KEYS + " or more tokens"))
                .or(() -> KernelVariant.unlessTooLarge(TilePcgTasks.mostFloats(device, shape)))
                .or(() -> TileOperations.unavailable(device.info().name()));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int merging = Float.BYTES * (TilePcg.HEADS * TilePcg.MOST_SPLITS * (TilePcg.DIM + 2) + TilePcg.MOST_SPLITS + (8 * TilePcg.HEADS + 2) * TilePcg.DIM);
        return new WorkGroupDemand(TilePcgBegin.THREADS, Math.max(merging, Math.max(TilePcg.localBytes(), TileDecode.localBytes(TilePcg.DIM))));
    }

    @Override
    public DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io) {
        return new TilePcgTasks(cache, shape, options, device, io);
    }
}
