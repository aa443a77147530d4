package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.forward.TileForwardVariant;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Half-precision matrix units with fragments in registers ({@link TileSoftmax}); head dims to 128. */
public final class TileSoftmaxVariant implements SoftmaxVariant {
    private static final int LOCAL_BYTES = 32 << 10;

    @Override
    public String id() {
        return "tile";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return TileForwardVariant.unsuitedToMatrixUnits(device, shape, options.withPreconditioner(Preconditioner.NONE))
                .or(() -> KernelVariant.unlessTooLarge(packedHalves(shape)));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(TileSoftmax.THREADS, LOCAL_BYTES);
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(false, packedHalves(shape), 0);
    }

    private static long packedHalves(AttentionShape shape) {
        return TileState.packedHalves((long) shape.batch() * shape.kvHeads(), shape.keyLength(), shape.headDim(), shape.valueDim());
    }

    /** Pack, then all else. */
    @Override
    public void append(TaskAppender tasks, VariantDevice device, SoftmaxBuffers b, AttentionShape s, LlaOptions options) {
        IntArray sizes = SoftmaxData.sizes(s, options, TileState.paddedKeys(s.keyLength()));
        FloatArray scale = SoftmaxData.scale(s, options);
        tasks.transferOnce(sizes, scale);
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = TileState.dims(D);
        int dimsV = TileState.dims(Dv);
        tasks.task("softmax_pack", TaskAppender.groups(Math.ceilDiv(packedHalves(s) / 8, (long) TileForward.PACK_THREADS), TileForward.PACK_THREADS),
                g -> g.task("softmax_pack", TileForward::pack, new KernelContext(), b.k(), b.v(), b.packed(), sizes, D, Dv,
                        TilePieces.stride(dims), TilePieces.stride(dimsV)));
        long groups = (long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), TileSoftmax.BLOCK);
        tasks.task("softmax", TaskAppender.groups(groups, TileSoftmax.THREADS), g -> g.task("softmax", TileSoftmax::softmax,
                new KernelContext(), b.q(), b.packed(), b.o(), b.logSumExp(), sizes, scale, D, Dv, dims, dimsV));
    }
}
