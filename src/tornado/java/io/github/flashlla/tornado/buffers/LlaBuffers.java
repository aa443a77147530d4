package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import java.util.Arrays;
import java.util.stream.LongStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The device arrays of one Local Linear Attention problem, float32, row-major.
 *
 * <p>q, k, v, ridge and o may be arrays that the caller's own tasks write and read; the others belong to the solve.
 *
 * @param q (B,H,Sq,D)
 * @param k (B,Hkv,Sk,D)
 * @param v (B,Hkv,Sk,Dv)
 * @param ridge (B,H,Sq), each &gt; 0
 * @param centre (B,Hkv,D), near each head's mean key
 * @param o (B,H,Sq,Dv)
 * @param logSumExp (B,H,Sq)
 * @param kbar (B,H,Sq,D)
 * @param x (B,H,Sq,D), followed by as much again for the diagonal of A when preconditioning, and for the residual of the
 *     solve when D &gt; Dv; otherwise {@code o} holds the residual, since it is written last
 * @param stats (B,H,Sq,2): iterations and relative residual of each query
 * @param packed keys and values as float16 in the order that the kernel reads them, if it wants that; otherwise one element
 * @param scratch what the kernel computes in, if it needs global memory for that; otherwise one element
 */
public record LlaBuffers(
        FloatArray q,
        FloatArray k,
        FloatArray v,
        FloatArray ridge,
        FloatArray centre,
        FloatArray o,
        FloatArray logSumExp,
        FloatArray kbar,
        FloatArray x,
        FloatArray stats,
        HalfFloatArray packed,
        FloatArray scratch) {

    /** All arrays new. */
    public static LlaBuffers allocate(AttentionShape shape, boolean jacobi, long packedHalves, long scratchFloats) {
        return over(shape, jacobi, packedHalves, scratchFloats, array(shape.queryDims()), array(shape.keyDims()), array(shape.valueDims()),
                array(shape.rowDims()), array(shape.outputDims()));
    }

    /** Around arrays of the caller's, whose sizes must be the shape's. */
    public static LlaBuffers over(AttentionShape shape, boolean jacobi, long packedHalves, long scratchFloats, FloatArray q, FloatArray k, FloatArray v,
            FloatArray ridge, FloatArray o) {
        require("q", q, shape.queryDims());
        require("k", k, shape.keyDims());
        require("v", v, shape.valueDims());
        require("ridge", ridge, shape.rowDims());
        require("o", o, shape.outputDims());
        FloatArray kbar = array(shape.queryDims());
        FloatArray x = array(solveRows(shape, jacobi), shape.headDim());
        FloatArray centre = array(shape.batch(), shape.kvHeads(), shape.headDim());
        return new LlaBuffers(q, k, v, ridge, centre, o, array(shape.rowDims()), kbar, x, array(shape.rows(), 2),
                halves(Math.max(1, packedHalves)), array(Math.max(1, scratchFloats)));
    }

    /** Makes the host's statistics NaN, to be seen if nothing is copied back. */
    public void forgetStats() {
        FloatArrays.fillWithNaN(stats);
    }

    /** What the backward pass reads of forward's arrays. */
    public Object[] keptForBackward() {
        return new Object[] {q, k, v, ridge, centre, logSumExp, kbar, x};
    }

    /** Bytes beyond q, k, v, ridge and o. */
    public long workspaceBytes() {
        long elements = (long) centre.getSize() + logSumExp.getSize() + kbar.getSize() + x.getSize() + stats.getSize()
                + scratch.getSize();
        return elements * Float.BYTES + (long) packed.getSize() * Short.BYTES;
    }

    /** Floats beyond q, k, v, ridge and o, and beyond the scratch memory. */
    public static long workspaceFloats(AttentionShape shape, boolean jacobi) {
        long centres = (long) shape.batch() * shape.kvHeads() * shape.headDim();
        return centres + 3 * shape.rows() + (shape.rows() + solveRows(shape, jacobi)) * shape.headDim();
    }

    /** Bytes of device memory that a forward pass needs, all arrays together. */
    public static long bytes(AttentionShape shape, boolean jacobi, long scratchFloats) {
        return shape.tensorBytes(Float.BYTES) + (shape.rows() + workspaceFloats(shape, jacobi) + scratchFloats) * Float.BYTES;
    }

    /** Bytes of the largest array. */
    public static long largestBytes(AttentionShape shape, boolean jacobi, long scratchFloats) {
        return LongStream.of(solveRows(shape, jacobi) * shape.headDim(), elements(shape.keyDims()), elements(shape.valueDims()),
                elements(shape.outputDims()), scratchFloats).max().orElseThrow() * Float.BYTES;
    }

    public static long elements(long[] dims) {
        return Arrays.stream(dims).reduce(1, Math::multiplyExact);
    }

    /** Rows of D floats that the solve keeps in the array of x. */
    public static long solveRows(AttentionShape shape, boolean jacobi) {
        return shape.rows() * (1 + (jacobi ? 1 : 0) + (shape.valueDim() < shape.headDim() ? 1 : 0));
    }

    public static FloatArray array(long... dims) {
        return new FloatArray(arrayElements(dims));
    }

    static HalfFloatArray halves(long elements) {
        return new HalfFloatArray(arrayElements(elements));
    }

    private static int arrayElements(long... dims) {
        long elements = 1;
        for (long dim : dims) {
            elements *= dim;
        }
        if (elements > Integer.MAX_VALUE - 64) {
            throw new InvalidInputException("a TornadoVM array holds less than 2^31 elements, but this problem needs one of "
                    + elements + "; split the batch or the heads");
        }
        return (int) elements;
    }

    static void require(String name, FloatArray array, long[] dims) {
        if (array.getSize() != elements(dims)) {
            throw new InvalidInputException(name + " has " + array.getSize() + " elements, but shape "
                    + io.github.flashlla.Tensor.shapeString(dims) + " needs " + elements(dims));
        }
    }
}
