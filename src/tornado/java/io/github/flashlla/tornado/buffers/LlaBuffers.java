package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Views;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The device arrays of one Local Linear Attention problem, float32, row-major.
 *
 * <p>q, k, v, ridge and o may be arrays that the caller's own tasks write and read; the others belong to the solve. Of the former, q, k,
 * v and o lie as {@code problem} says. Where q, k and v are one array, it is {@code k}, and the others have one element that nobody reads.
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
 * @param problem sizes and settings, where q, k, v and o lie, and which keys a query sees
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
        FloatArray scratch,
        ProblemArrays problem) {

    /** All arrays new. */
    public static LlaBuffers allocate(AttentionShape shape, LlaOptions options, long packedHalves, long scratchFloats) {
        List<FloatArray> given = arrays(shape.queryDims(), shape.keyDims(), shape.valueDims(), shape.rowDims(), shape.outputDims());
        return over(shape, options, packedHalves, scratchFloats, ArrayView.of(given.get(0)), ArrayView.of(given.get(1)),
                ArrayView.of(given.get(2)), given.get(3), ArrayView.of(given.get(4)), null);
    }

    /**
     * Around arrays of the caller's, whose sizes must be the shape's.
     *
     * @param sequences null where batch entries are the only sequences
     */
    public static LlaBuffers over(AttentionShape shape, LlaOptions options, long packedHalves, long scratchFloats, ArrayView q, ArrayView k,
            ArrayView v, FloatArray ridge, ArrayView o, Sequences sequences) {
        q.requireInput("q", shape.queryDims());
        k.requireInput("k", shape.keyDims());
        v.requireInput("v", shape.valueDims());
        require("ridge", ridge, shape.rowDims());
        o.requireOutput("o", shape.outputDims());
        boolean packed = q.stored() == k.stored();
        ProblemArrays problem = ProblemArrays.of(shape, options, sequences, q.isStrided() || k.isStrided() || v.isStrided() || o.isStrided(), packed);
        problem.place(Views.Q, q, shape.queryDims());
        problem.place(Views.K, k, shape.keyDims());
        problem.place(Views.V, v, shape.valueDims());
        problem.place(Views.O, o, shape.outputDims());
        HalfFloatArray[] halves = new HalfFloatArray[1];
        int inHalves = arrayElements(Math.max(1, packedHalves));
        List<FloatArray> own = arrays(() -> halves[0] = new HalfFloatArray(inHalves), shape.queryDims(),
                new long[] {solveRows(shape, Masking.isJacobi(options)), shape.headDim()},
                new long[] {shape.batch(), shape.kvHeads(), shape.headDim()}, shape.rowDims(), new long[] {shape.rows(), 2},
                new long[] {Math.max(1, scratchFloats)});
        return new LlaBuffers(packed ? array(1) : q.array(), k.array(), packed ? array(1) : v.array(), ridge, own.get(2), o.array(),
                own.get(3), own.get(0), own.get(1), own.get(4), halves[0], own.get(5), problem);
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

    /** One of each size, side by side: the system takes as long to clear their memory as a kernel that reads it. */
    static List<FloatArray> arrays(long[]... dims) {
        return arrays(() -> { }, dims);
    }

    /** @param more done beside */
    private static List<FloatArray> arrays(Runnable more, long[]... dims) {
        FloatArray[] arrays = new FloatArray[dims.length];
        int[] sizes = Arrays.stream(dims).mapToInt(LlaBuffers::arrayElements).toArray();
        IntStream.rangeClosed(0, sizes.length).parallel().forEach(n -> {
            if (n < sizes.length) {
                arrays[n] = new FloatArray(sizes[n]);
            } else {
                more.run();
            }
        });
        return List.of(arrays);
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
        require(name, array.getSize(), dims);
    }

    static void require(String name, int size, long[] dims) {
        if (size != elements(dims)) {
            throw new InvalidInputException(name + " has " + size + " elements, but shape "
                    + io.github.flashlla.Tensor.shapeString(dims) + " needs " + elements(dims));
        }
    }
}
