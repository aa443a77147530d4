package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import java.util.Locale;
import java.util.Optional;

/** Conjugate gradients that read the cache once an iteration, with no D x D matrix. */
public enum CgDecodeVariant implements DecodeVariant {
    /** On half-precision matrix units with fragments in registers, by operations of our own, for a float16 cache. */
    TILE_CG {
        @Override
        public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return unlessMatrixUnits(device, options)
                    .or(() -> KernelVariant.unless(shape.headDim() == shape.valueDim() && TileDecode.takes(shape.headDim()),
                            "it takes D = Dv of 64 or 128"))
                    .or(() -> super.unsuited(device, shape, options))
                    .or(() -> TileOperations.unavailable(device.info().name()));
        }

        @Override
        public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return new WorkGroupDemand(TileRing.THREADS, TileDecode.localBytes(shape.headDim()));
        }
    },
    /** On half-precision matrix units, for a float16 cache. */
    MATRIX_CG {
        @Override
        public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return unlessMatrixUnits(device, options)
                    .or(() -> KernelVariant.unless(shape.headDim() == TensorCoreCgDecode.DIM
                            && shape.valueDim() == TensorCoreCgDecode.DIM, "it takes D = Dv = " + TensorCoreCgDecode.DIM))
                    .or(() -> super.unsuited(device, shape, options));
        }

        @Override
        public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return new WorkGroupDemand(TensorCoreCgDecode.WARPS * TensorCoreCgDecode.THREADS, TensorCoreCgDecode.localBytes());
        }
    },
    CG;

    /** Where a device has no halves, its float16 caches are float32 there: the device's reason comes first. */
    static Optional<String> unlessMatrixUnits(VariantDevice device, LlaOptions options) {
        return KernelVariant.unless(device.hasMatrixUnits(), "the device has no matrix units that TornadoVM reaches")
                .or(() -> KernelVariant.unless(options.precision() == DataType.FLOAT16, "it is for a float16 cache"));
    }

    @Override
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int dim = shape.headDim();
        return KernelVariant.unless(dim == shape.valueDim() && CacheLayout.lanes(dim) != dim && dim >= CgDecode.DIMS,
                        "it takes D = Dv of 8, 16, 32, 64, 128 or 256")
                .or(() -> KernelVariant.unlessTooLarge(CgDecodeTasks.mostFloats(this, device, shape)));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int dim = shape.headDim();
        int threads = CgDecodeTasks.threads(device);
        return new WorkGroupDemand(threads, (long) Float.BYTES
                * Math.max(CgDecode.localFloats(dim, CgDecodeTasks.headsPerGroup(this, shape), threads), 7 * dim));
    }

    @Override
    public DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io) {
        return new CgDecodeTasks(this, cache, shape, options, device, io);
    }
}
