package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.backward.CpuBackwardKeys;
import io.github.flashlla.tornado.kernels.backward.CpuBackwardQueries;
import io.github.flashlla.tornado.kernels.backward.GpuBackward;
import io.github.flashlla.tornado.kernels.backward.GpuBackwardKeys;
import io.github.flashlla.tornado.kernels.backward.GpuBackwardQueries;
import io.github.flashlla.tornado.kernels.backward.GpuBackwardSolve;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** One way to compute the backward pass on a device: its tasks, how they are launched, and what they need of the device. */
public enum BackwardKernel implements GroupNeeds {
    /** A block of queries, then a block of keys, per work-item, one per lane; every head dim and preconditioner. */
    CPU {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return device.type() == DeviceInfo.Type.CPU;
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
            return Math.max(CpuWorkers.backwardQueries(device, shape, options).floats(),
                    CpuWorkers.backwardKeys(device, shape, options).floats());
        }

        @Override
        public void append(TaskAppender tasks, DeviceInfo device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
            LlaBuffers f = b.forward();
            IntArray sizes = CpuWorkers.sizes(s, options);
            FloatArray settings = CpuWorkers.settings(s, options);
            CpuWorkers queries = CpuWorkers.backwardQueries(device, s, options);
            CpuWorkers keys = CpuWorkers.backwardKeys(device, s, options);
            tasks.transferOnce(sizes, settings);
            tasks.task("lla_backward_queries", TaskAppender.groups(queries.count(), 1), graph -> graph.task(
                    "lla_backward_queries", CpuBackwardQueries::queries, new KernelContext(), f.q(), f.k(), f.v(), f.ridge(),
                    f.centre(), b.g(), f.logSumExp(), f.kbar(), f.x(), b.u(), b.rows(), b.dq(), b.dridge(), b.scratch(),
                    sizes, settings, Masking.flags(options), queries.keepWeights()));
            tasks.task("lla_backward_keys", TaskAppender.groups(keys.count(), 1), graph -> graph.task(
                    "lla_backward_keys", CpuBackwardKeys::keys, new KernelContext(), f.q(), f.k(), f.v(), f.centre(), b.g(),
                    f.x(), b.u(), b.rows(), b.dk(), b.dv(), b.visited(), b.scratch(), sizes, settings,
                    Masking.flags(options), s.group()));
        }
    },
    /** Work-group tiles in local memory; every head dim and preconditioner. */
    GPU {
        @Override
        public boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options) {
            return true;
        }

        @Override
        public int blockRows(AttentionShape shape) {
            return GpuBackward.blockRows(paddedDim(shape));
        }

        @Override
        public int groupThreads(AttentionShape shape) {
            return GpuBackward.THREADS;
        }

        @Override
        public int localBytes(AttentionShape shape) {
            return GpuBackward.localBytes(paddedDim(shape));
        }

        @Override
        public void append(TaskAppender tasks, DeviceInfo device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
            LlaBuffers f = b.forward();
            float scale = (float) options.scaleFor(s.headDim());
            int flags = Masking.flags(options);
            long queryBlocks = (long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), blockRows(s));
            long keyBlocks = (long) s.batch() * s.kvHeads() * Math.ceilDiv(s.keyLength(), blockRows(s));
            tasks.task("lla_backward_solve", TaskAppender.groups(queryBlocks, GpuBackward.THREADS), graph -> graph.task(
                    "lla_backward_solve", GpuBackwardSolve::solve, new KernelContext(), f.q(), f.k(), f.v(), f.ridge(),
                    f.centre(), b.g(), f.logSumExp(), f.kbar(), b.u(), b.dq(), b.rows(), s.queryLength(), s.keyLength(),
                    s.headDim(), s.valueDim(), scale, flags, (float) options.tolerance(), options.maxIterations()));
            tasks.task("lla_backward_queries", TaskAppender.groups(queryBlocks, GpuBackward.THREADS), graph -> graph.task(
                    "lla_backward_queries", GpuBackwardQueries::queries, new KernelContext(), f.q(), f.k(), f.v(), f.centre(),
                    b.g(), f.kbar(), f.x(), b.u(), b.rows(), b.dq(), b.dridge(), s.group(), s.queryLength(), s.keyLength(),
                    s.headDim(), s.valueDim(), scale, flags));
            tasks.task("lla_backward_keys", TaskAppender.groups(keyBlocks, GpuBackward.THREADS), graph -> graph.task(
                    "lla_backward_keys", GpuBackwardKeys::keys, new KernelContext(), f.q(), f.k(), f.v(), f.centre(), b.g(),
                    f.x(), b.u(), b.rows(), b.dk(), b.dv(), b.visited(), s.group(), s.queryLength(), s.keyLength(), s.headDim(),
                    s.valueDim(), scale, flags));
        }

        private static int paddedDim(AttentionShape shape) {
            return GpuBackward.paddedDim(shape.headDim(), shape.valueDim());
        }
    };

    /** Whether this kernel is written for such a device and such a problem. */
    public abstract boolean suits(DeviceInfo device, AttentionShape shape, LlaOptions options);

    /** Queries that iterate together. */
    public abstract int blockRows(AttentionShape shape);

    /** Floats of global memory that the work-groups compute in. */
    public long scratchFloats(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        return 0;
    }

    /** Adds the tasks. */
    public abstract void append(TaskAppender tasks, DeviceInfo device, BackwardBuffers buffers, AttentionShape shape, LlaOptions options);
}
