package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Half-precision matrix units; for those who ask for float16, on devices that have them. */
public final class TensorCoreForwardVariant implements ForwardVariant {
    private static final int PACK_THREADS = 256;

    @Override
    public String id() {
        return "matrix";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT16, "it computes in float16, which the options do not ask for")
                .or(() -> KernelVariant.unless(device.hasMatrixUnits(), "the device has no matrix units that TornadoVM reaches"))
                .or(() -> KernelVariant.unless(options.preconditioner() == Preconditioner.NONE, "it has no preconditioner"))
                .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= TensorCoreForward.MAX_DIM,
                        "it takes head dims up to " + TensorCoreForward.MAX_DIM));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(TensorCoreForward.THREADS, TensorCoreForward.localBytes());
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return TensorCoreForward.BLOCK;
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(false, keyTiles(shape) * TensorCoreForward.TILES * TensorCoreForward.TILE,
                groups(device, shape) * TensorCoreForward.SCRATCH);
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray sizes) {
        tasks.task("lla_pack", TaskAppender.groups(keyTiles(s) * TensorCoreForward.TILE / PACK_THREADS, PACK_THREADS),
                graph -> graph.task("lla_pack", TensorCoreForward::pack, new KernelContext(), b.k(), b.v(), b.packed(), s.keyLength(),
                        s.headDim(), s.valueDim()));
        tasks.task("lla_forward", TaskAppender.groups(groups(device, s), TensorCoreForward.THREADS),
                graph -> graph.task("lla_forward", TensorCoreForward::forward, new KernelContext(), b.q(), b.packed(), b.ridge(),
                        b.o(), b.logSumExp(), b.kbar(), b.x(), b.stats(), b.scratch(), s.group(), s.queryLength(), s.keyLength(),
                        s.headDim(), s.valueDim(), (float) options.scaleFor(s.headDim()), Masking.flags(options),
                        (float) options.tolerance(), options.maxIterations()));
    }

    /** As many as run at once: each takes one block of queries after another. */
    private long groups(VariantDevice device, AttentionShape shape) {
        return Math.min(queryBlocks(shape), (long) device.computeUnits() * TensorCoreForward.GROUPS_PER_UNIT);
    }

    private static long keyTiles(AttentionShape shape) {
        return (long) shape.batch() * shape.kvHeads() * Math.ceilDiv(shape.keyLength(), TensorCoreForward.BLOCK);
    }
}
