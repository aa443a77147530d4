package io.github.flashlla.tornado.buffers;

import static io.github.flashlla.tornado.buffers.LlaBuffers.array;
import static io.github.flashlla.tornado.buffers.LlaBuffers.elements;

import io.github.flashlla.AttentionShape;
import java.util.stream.LongStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The device arrays of one softmax attention problem, float32, row-major.
 *
 * @param q (B,H,Sq,D)
 * @param k (B,Hkv,Sk,D)
 * @param v (B,Hkv,Sk,Dv)
 * @param o (B,H,Sq,Dv)
 * @param logSumExp (B,H,Sq)
 * @param packed keys and values as float16 in the order that the kernel reads them, if it wants that; otherwise one element
 * @param scratch what the kernel computes in, if it needs global memory for that; otherwise one element
 */
public record SoftmaxBuffers(FloatArray q, FloatArray k, FloatArray v, FloatArray o, FloatArray logSumExp, HalfFloatArray packed,
        FloatArray scratch) {

    public static SoftmaxBuffers allocate(AttentionShape shape, long packedHalves, long scratchFloats) {
        return new SoftmaxBuffers(array(shape.queryDims()), array(shape.keyDims()), array(shape.valueDims()), array(shape.outputDims()),
                array(shape.rowDims()), LlaBuffers.halves(Math.max(1, packedHalves)), array(Math.max(1, scratchFloats)));
    }

    /** Bytes beyond q, k, v and o. */
    public static long workspaceBytes(AttentionShape shape, long packedHalves, long scratchFloats) {
        return (shape.rows() + packedHalves / 2 + scratchFloats) * Float.BYTES;
    }

    /** Bytes of the largest array. */
    public static long largestBytes(AttentionShape shape, long packedHalves, long scratchFloats) {
        return LongStream.of(elements(shape.queryDims()), elements(shape.keyDims()), elements(shape.valueDims()),
                elements(shape.outputDims()), scratchFloats, packedHalves / 2).max().orElseThrow() * Float.BYTES;
    }
}
