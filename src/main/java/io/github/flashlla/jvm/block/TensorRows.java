package io.github.flashlla.jvm.block;

import io.github.flashlla.Tensor;
import java.util.Arrays;

/** Moves rows between tensors of any element type and float arrays. */
public final class TensorRows {

    private TensorRows() {}

    /** Copies {@code count} elements from row-major position {@code from}. */
    public static void load(Tensor tensor, long from, float[] target, int at, int count) {
        tensor.copyTo(from, target, at, count);
    }

    /** Copies {@code count} elements to row-major position {@code to}. */
    public static void store(float[] source, int at, int count, Tensor tensor, long to) {
        tensor.copyFrom(source, at, to, count);
    }

    /** Copies one head (length,dim) of a tensor to position {@code at}, rows padded to {@link BlockLoops#padded}, leaving the padding. */
    public static void loadHead(Tensor tensor, long head, int rows, int dim, float[] target, int at) {
        long from = head * rows * dim;
        int stride = BlockLoops.padded(dim);
        if (dim == stride) {
            load(tensor, from, target, at, rows * dim);
        } else {
            for (int row = 0; row < rows; row++) {
                load(tensor, from + (long) row * dim, target, at + row * stride, dim);
            }
        }
    }

    /** Row {@code row} of the tensor becomes lane {@code row} of {@code target}, {@code [dim][ROWS]}; other lanes become 0. */
    static void loadTransposed(Tensor tensor, long from, int rows, int dim, float[] target, float[] rowBuffer) {
        Arrays.fill(target, 0);
        for (int row = 0; row < rows; row++) {
            load(tensor, from + (long) row * dim, rowBuffer, 0, dim);
            for (int d = 0; d < dim; d++) {
                target[d * BlockLoops.ROWS + row] = rowBuffer[d];
            }
        }
    }

    /** The same from an array: rows {@code first} and on of those that begin at {@code at}, {@code dim} floats each. */
    static void transpose(float[] source, int at, int first, int rows, int dim, float[] target) {
        Arrays.fill(target, 0);
        for (int row = 0; row < rows; row++) {
            for (int d = 0; d < dim; d++) {
                target[d * BlockLoops.ROWS + row] = source[at + (first + row) * dim + d];
            }
        }
    }

    /** The inverse of {@link #loadTransposed}. */
    static void storeTransposed(float[] source, int rows, int dim, Tensor tensor, long to, float[] rowBuffer) {
        for (int row = 0; row < rows; row++) {
            for (int d = 0; d < dim; d++) {
                rowBuffer[d] = source[d * BlockLoops.ROWS + row];
            }
            store(rowBuffer, 0, dim, tensor, to + (long) row * dim);
        }
    }
}
