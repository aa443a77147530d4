package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.forward.CpuForward;
import io.github.flashlla.tornado.kernels.forward.GpuForward;
import io.github.flashlla.tornado.kernels.forward.GpuWideForward;
import io.github.flashlla.tornado.kernels.forward.TensorCoreForward;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.Arrays;
import java.util.Locale;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * One way to compute the forward pass on a device: the task, how it is launched, and what it needs of the device.
 */
public enum ForwardKernel implements GroupNeeds {
    /** A block of queries per work-item, one query per lane; every head dim and preconditioner. */
    CPU {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return device.type() == DeviceInfo.Type.CPU && options.precision() == DataType.FLOAT32;
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return CpuBlockLoops.ROWS;
        }

        @Override
        public int groupThreads(AttentionShape shape) {
            return 1;
        }

        @Override
        public int localBytes(AttentionShape shape) {
            return 0;
        }

        @Override
        public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return CpuWorkers.forward(device, shape, options).floats();
        }

        @Override
        public WorkerGrid grid(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return TaskAppender.groups(CpuWorkers.forward(device, shape, options).count(), 1);
        }

        @Override
        public void append(TaskGraph graph, String task, DeviceInfo device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            IntArray sizes = CpuWorkers.sizes(s, options);
            FloatArray settings = CpuWorkers.settings(s, options);
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, sizes, settings);
            graph.task(task, CpuForward::forward, new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(),
                    b.logSumExp(), b.kbar(), b.x(), b.stats(), b.scratch(), sizes, settings,
                    Masking.flags(options), CpuWorkers.forward(device, s, options).keepWeights());
        }
    },
    /** Half-precision matrix units; for those who ask for float16, on devices that have them. */
    MATRIX {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return options.precision() == DataType.FLOAT16 && options.preconditioner() == Preconditioner.NONE
                    && Math.max(shape.headDim(), shape.valueDim()) <= TensorCoreForward.MAX_DIM;
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return TensorCoreForward.BLOCK;
        }

        @Override
        public int groupThreads(AttentionShape shape) {
            return TensorCoreForward.THREADS;
        }

        @Override
        public int localBytes(AttentionShape shape) {
            return TensorCoreForward.localBytes();
        }

        @Override
        public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return groups(device, shape) * TensorCoreForward.SCRATCH;
        }

        @Override
        public long packedHalves(AttentionShape shape) {
            return keyTiles(shape) * TensorCoreForward.TILES * TensorCoreForward.TILE;
        }

        @Override
        public void prepare(TaskAppender tasks, String task, LlaBuffers b, AttentionShape s) {
            tasks.task(task, TaskAppender.groups(keyTiles(s) * TensorCoreForward.TILE / PACK_THREADS, PACK_THREADS),
                    graph -> graph.task(task, TensorCoreForward::pack, new KernelContext(), b.k(), b.v(), b.packed(), s.keyLength(),
                            s.headDim(), s.valueDim()));
        }

        @Override
        public void append(TaskGraph graph, String task, DeviceInfo device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            graph.task(task, TensorCoreForward::forward, new KernelContext(), b.q(), b.packed(), b.ridge(), b.o(), b.logSumExp(),
                    b.kbar(), b.x(), b.stats(), b.scratch(), s.group(), s.queryLength(), s.keyLength(), s.headDim(), s.valueDim(),
                    (float) options.scaleFor(s.headDim()), Masking.flags(options), (float) options.tolerance(), options.maxIterations());
        }

        @Override
        public WorkerGrid grid(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return TaskAppender.groups(groups(device, shape), TensorCoreForward.THREADS);
        }

        /** As many as run at once: each takes one block of queries after another. */
        private long groups(DeviceInfo device, AttentionShape shape) {
            long blocks = (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), TensorCoreForward.BLOCK);
            return Math.min(blocks, (long) Math.max(1, device.computeUnits()) * TensorCoreForward.GROUPS_PER_UNIT);
        }

        private static long keyTiles(AttentionShape shape) {
            return (long) shape.batch() * shape.kvHeads() * Math.ceilDiv(shape.keyLength(), TensorCoreForward.BLOCK);
        }
    },
    /** Work-group tiles in local memory, scalar register tiles; head dims up to {@value GpuForward#MAX_DIM}. */
    GPU {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return options.precision() == DataType.FLOAT32 && options.preconditioner() == Preconditioner.NONE
                    && Math.max(shape.headDim(), shape.valueDim()) <= GpuForward.MAX_DIM;
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return GpuForward.blockRows(GpuForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public int groupThreads(AttentionShape shape) {
            return GpuForward.THREADS;
        }

        @Override
        public int localBytes(AttentionShape shape) {
            return GpuForward.localBytes(GpuForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return keptFloats(shape, options);
        }

        @Override
        public void append(TaskGraph graph, String task, DeviceInfo device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            graph.task(task, GpuForward::forward, new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(),
                    b.logSumExp(), b.kbar(), b.x(), b.stats(), b.scratch(), s.queryLength(), s.keyLength(),
                    s.headDim(), s.valueDim(), (float) options.scaleFor(s.headDim()),
                    Masking.flags(options) + KeptResiduals.UNIT * keptResiduals(s, options), (float) options.tolerance(), options.maxIterations());
        }
    },
    /** Work-group tiles in local memory, register tiles in arrays; every head dim and preconditioner. */
    GPU_WIDE {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return options.precision() == DataType.FLOAT32;
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return GpuWideForward.blockRows(GpuWideForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public int groupThreads(AttentionShape shape) {
            return GpuWideForward.THREADS;
        }

        @Override
        public int localBytes(AttentionShape shape) {
            return GpuWideForward.localBytes(GpuWideForward.paddedDim(shape.headDim(), shape.valueDim()));
        }

        @Override
        public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return keptFloats(shape, options);
        }

        @Override
        public void append(TaskGraph graph, String task, DeviceInfo device, LlaBuffers b, AttentionShape s, LlaOptions options) {
            graph.task(task, GpuWideForward::forward, new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(),
                    b.logSumExp(), b.kbar(), b.x(), b.stats(), b.scratch(), s.queryLength(), s.keyLength(),
                    s.headDim(), s.valueDim(), (float) options.scaleFor(s.headDim()),
                    Masking.flags(options) + KeptResiduals.UNIT * keptResiduals(s, options), (float) options.tolerance(), options.maxIterations());
        }
    };

    /**
     * A kernel by its name in a device's profile, such as {@code gpu_wide}.
     *
     * @throws InvalidInputException if there is none, listing those that there are
     */
    public static ForwardKernel of(String name) {
        for (ForwardKernel kernel : values()) {
            if (kernel.name().equalsIgnoreCase(name)) {
                return kernel;
            }
        }
        throw new InvalidInputException("devices.yaml of tornado-config names the forward kernel '" + name + "'; there are "
                + Arrays.stream(values()).map(kernel -> kernel.name().toLowerCase(Locale.ROOT)).toList() + ".");
    }

    /** Whether this kernel is written for such a device and such a problem. */
    public abstract boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options);

    /** Queries that iterate together. */
    public abstract int blockRows(AttentionShape shape);

    /** Floats of global memory that the work-groups compute in. */
    public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        return 0;
    }

    /** float16 elements of global memory for keys and values in the order that the kernel reads them. */
    public long packedHalves(AttentionShape shape) {
        return 0;
    }

    /** Adds what runs before the kernel. */
    public void prepare(TaskAppender tasks, String task, LlaBuffers buffers, AttentionShape shape) {}

    public abstract void append(TaskGraph graph, String task, DeviceInfo device, LlaBuffers buffers, AttentionShape shape,
            LlaOptions options);

    public WorkerGrid grid(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        long groups = (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), blockRows(shape));
        return TaskAppender.groups(groups, groupThreads(shape));
    }

    private static final int PACK_THREADS = 256;
    private static final int FEWEST_KEPT = 8;
    /** Most that they may take together. */
    public static final long KEPT_BYTES = 16 << 20;

    /** Floats of the residuals kept. */
    private static long keptFloats(AttentionShape shape, LlaOptions options) {
        return keptResiduals(shape, options) * shape.rows() * shape.headDim();
    }

    /**
     * Residuals that kernels for GPUs keep: as many as a few megabytes hold. Large problems keep none, since each is as large
     * as q; nor do those with a tolerance that is reached before rounding counts.
     */
    private static int keptResiduals(AttentionShape shape, LlaOptions options) {
        long fitting = KEPT_BYTES / (shape.rows() * shape.headDim() * Float.BYTES);
        int kept = (int) Math.min(Math.min(KeptResiduals.MOST, fitting), Math.min(shape.headDim(), options.maxIterations()));
        return kept < Math.min(FEWEST_KEPT, shape.headDim()) || options.tolerance() > 1e-4 ? 0 : kept;
    }
}
