package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.Views;
import java.util.List;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The device arrays of a backward pass, float32, row-major: those of forward, and what backward reads and writes besides.
 *
 * <p>g, dq, dk, dv and dridge may be arrays that the caller's own tasks write and read.
 *
 * @param forward what forward read, and its log-sum-exp, kbar and x
 * @param g gradient of o (B,H,Sq,Dv)
 * @param u solution of the second solve (B,H,Sq,D), followed by as much again for the diagonal of A when preconditioning
 * @param rows (B,H,Sq,{@value BackwardRow#ROW_SCALARS}): scalars of each query
 * @param visited (B,Hkv,Sk): queries that each key's block went through
 * @param dq (B,H,Sq,D); holds the residual of the solve before it is written
 * @param dk (B,Hkv,Sk,D)
 * @param dv (B,Hkv,Sk,Dv)
 * @param dridge (B,H,Sq)
 * @param packed keys, values and rows of queries as float16, if the kernels read them so; otherwise one element
 * @param scratch what the kernels compute in, if they need global memory for that; otherwise one element
 * @param problem forward's, with where g, dq, dk and dv lie
 */
public record BackwardBuffers(
        LlaBuffers forward,
        FloatArray g,
        FloatArray u,
        FloatArray rows,
        FloatArray visited,
        FloatArray dq,
        FloatArray dk,
        FloatArray dv,
        FloatArray dridge,
        HalfFloatArray packed,
        FloatArray scratch,
        ProblemArrays problem) {

    /** All arrays but forward's new. */
    public static BackwardBuffers allocate(AttentionShape shape, LlaBuffers forward, boolean jacobi, long packedHalves,
            long scratchFloats) {
        List<FloatArray> given = LlaBuffers.arrays(shape.outputDims(), shape.queryDims(), shape.keyDims(), shape.valueDims(), shape.rowDims());
        return over(shape, forward, jacobi, packedHalves, scratchFloats, ArrayView.of(given.get(0)), ArrayView.of(given.get(1)),
                ArrayView.of(given.get(2)), ArrayView.of(given.get(3)), given.get(4));
    }

    /**
     * Around arrays of the caller's, whose sizes must be the shape's.
     *
     * @param dridge null for one of its own
     */
    public static BackwardBuffers over(AttentionShape shape, LlaBuffers forward, boolean jacobi, long packedHalves,
            long scratchFloats, ArrayView g, ArrayView dq, ArrayView dk, ArrayView dv, FloatArray dridge) {
        g.requireInput("g", shape.outputDims());
        dq.requireOutput("dq", shape.queryDims());
        dk.requireOutput("dk", shape.keyDims());
        dv.requireOutput("dv", shape.valueDims());
        FloatArray ridge = dridge == null ? LlaBuffers.array(shape.rowDims()) : dridge;
        LlaBuffers.require("dridge", ridge, shape.rowDims());
        ProblemArrays problem = forward.problem().copy(g.isStrided() || dq.isStrided() || dk.isStrided() || dv.isStrided());
        problem.place(Views.G, g, shape.outputDims());
        problem.place(Views.DQ, dq, shape.queryDims());
        problem.place(Views.DK, dk, shape.keyDims());
        problem.place(Views.DV, dv, shape.valueDims());
        List<FloatArray> own = LlaBuffers.arrays(new long[] {shape.rows() * (jacobi ? 2 : 1), shape.headDim()},
                new long[] {shape.rows(), BackwardRow.ROW_SCALARS}, new long[] {shape.batch(), shape.kvHeads(), shape.keyLength()},
                new long[] {Math.max(1, scratchFloats)});
        return new BackwardBuffers(forward, g.array(), own.get(0), own.get(1), own.get(2), dq.array(), dk.array(), dv.array(), ridge,
                LlaBuffers.halves(Math.max(1, packedHalves)), own.get(3), problem);
    }

    /** Bytes beyond forward's, g and the gradients. */
    public long workspaceBytes() {
        return ((long) u.getSize() + rows.getSize() + visited.getSize() + scratch.getSize()) * Float.BYTES
                + (long) packed.getSize() * Short.BYTES;
    }

    /** Bytes beyond forward's, g and the gradients included. */
    public long bytes(AttentionShape shape) {
        return shape.tensorBytes(Float.BYTES) + shape.rows() * Float.BYTES + workspaceBytes();
    }

    /** The workspace in floats and without the scratch memory, before anything is allocated. */
    public static long workspaceFloats(AttentionShape shape, boolean jacobi) {
        return shape.rows() * ((jacobi ? 2L : 1L) * shape.headDim() + BackwardRow.ROW_SCALARS)
                + (long) shape.batch() * shape.kvHeads() * shape.keyLength();
    }
}
