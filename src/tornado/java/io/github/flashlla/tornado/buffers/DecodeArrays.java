package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What every way of decoding takes and gives.
 *
 * @param lengths (B)
 * @param q (B,H,D)
 * @param scaledQ the same times the scale
 * @param ridges (B,H)
 * @param o (B,H,Dv)
 */
public record DecodeArrays(IntArray lengths, FloatArray q, FloatArray scaledQ, FloatArray ridges, FloatArray o) {

    public static DecodeArrays of(AttentionShape shape) {
        int rows = shape.batch() * shape.heads();
        return new DecodeArrays(new IntArray(shape.batch()), new FloatArray(rows * shape.headDim()),
                new FloatArray(rows * shape.headDim()), new FloatArray(rows), new FloatArray(rows * shape.valueDim()));
    }
}
