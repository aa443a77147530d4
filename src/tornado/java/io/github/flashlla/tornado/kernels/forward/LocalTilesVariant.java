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
import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import java.util.Locale;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Work-group tiles in local memory. */
public enum LocalTilesVariant implements ForwardVariant {
    /** Scalar register tiles; head dims up to {@value GpuForward#MAX_DIM}. */
    GPU {
        @Override
        public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return super.unsuited(device, shape, options)
                    .or(() -> KernelVariant.unless(options.preconditioner() == Preconditioner.NONE, "it has no preconditioner"))
                    .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= GpuForward.MAX_DIM,
                            "it takes head dims up to " + GpuForward.MAX_DIM));
        }

        @Override
        public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return new WorkGroupDemand(GpuForward.THREADS,
                    GpuForward.localBytes(GpuForward.paddedDim(shape.headDim(), shape.valueDim())));
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return GpuForward.blockRows(GpuForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            IntArray sizes = sizes(s, options);
            FloatArray settings = ProblemData.settings(s, options);
            tasks.transferOnce(sizes, settings);
            tasks.task("lla_forward", TaskAppender.groups(queryBlocks(s), GpuForward.THREADS), graph -> graph.task("lla_forward",
                    GpuForward::forward, new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(), b.logSumExp(),
                    b.kbar(), b.x(), b.stats(), b.scratch(), sizes, settings, s.headDim(), s.valueDim(), flags(s, options)));
        }
    },
    /** Register tiles in arrays; every head dim and preconditioner. */
    GPU_WIDE {
        @Override
        public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
            return new WorkGroupDemand(GpuWideForward.THREADS,
                    GpuWideForward.localBytes(GpuWideForward.paddedDim(shape.headDim(), shape.valueDim())));
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return GpuWideForward.blockRows(GpuWideForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            IntArray sizes = sizes(s, options);
            FloatArray settings = ProblemData.settings(s, options);
            tasks.transferOnce(sizes, settings);
            tasks.task("lla_forward", TaskAppender.groups(queryBlocks(s), GpuWideForward.THREADS), graph -> graph.task("lla_forward",
                    GpuWideForward::forward, new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(), b.logSumExp(),
                    b.kbar(), b.x(), b.stats(), b.scratch(), sizes, settings, s.headDim(), s.valueDim(), flags(s, options)));
        }
    };

    private static final int FEWEST_KEPT = 8;
    /** Most that kept residuals may take together. */
    public static final long KEPT_BYTES = 16 << 20;

    @Override
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32");
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(true, 0, keptResiduals(shape, options) * shape.rows() * shape.headDim());
    }

    private static int flags(AttentionShape shape, LlaOptions options) {
        return Masking.flags(options) + (keptResiduals(shape, options) > 0 ? KeptResiduals.UNIT : 0);
    }

    private static IntArray sizes(AttentionShape shape, LlaOptions options) {
        IntArray sizes = ProblemData.sizes(shape, options);
        sizes.set(ProblemData.KEPT, keptResiduals(shape, options));
        return sizes;
    }

    /**
     * Residuals that are kept: as many as a few megabytes hold. Large problems keep none, since each is as large as q; nor do
     * those with a tolerance that is reached before rounding counts.
     */
    static int keptResiduals(AttentionShape shape, LlaOptions options) {
        long fitting = KEPT_BYTES / (shape.rows() * shape.headDim() * Float.BYTES);
        int kept = (int) Math.min(Math.min(KeptResiduals.MOST, fitting), Math.min(shape.headDim(), options.maxIterations()));
        return kept < Math.min(FEWEST_KEPT, shape.headDim()) || options.tolerance() > 1e-4 ? 0 : kept;
    }
}
