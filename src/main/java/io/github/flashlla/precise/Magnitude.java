package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Tensor;
import java.util.stream.IntStream;

/** Sizes of a tensor's rows and elements, on all processors. */
final class Magnitude {
    private static final int CHUNK = 1 << 14;

    private Magnitude() {}

    /** Largest absolute value; infinite or NaN elements are left to others. */
    static float largest(Tensor tensor) {
        int chunks = Math.toIntExact(Math.ceilDiv(tensor.size(), CHUNK));
        return (float) IntStream.range(0, chunks).parallel().mapToDouble(chunk -> {
            int count = (int) Math.min(CHUNK, tensor.size() - (long) chunk * CHUNK);
            float[] values = new float[count];
            tensor.copyTo((long) chunk * CHUNK, values, 0, count);
            float most = 0;
            for (float value : values) {
                most = Math.max(most, Math.abs(value));
            }
            return most;
        }).max().orElse(0);
    }

    /** Largest ||k_j - mean|| of each key/value head, (B,Hkv). */
    static double[] keys(Tensor k, AttentionShape shape) {
        int length = shape.keyLength();
        int d = shape.headDim();
        double[] most = new double[shape.batch() * shape.kvHeads()];
        IntStream.range(0, most.length).parallel().forEach(head -> {
            float[] row = new float[d];
            double[] mean = new double[d];
            for (int j = 0; j < length; j++) {
                k.copyTo(((long) head * length + j) * d, row, 0, d);
                for (int c = 0; c < d; c++) {
                    mean[c] += row[c] / (double) length;
                }
            }
            double largest = 0;
            for (int j = 0; j < length; j++) {
                k.copyTo(((long) head * length + j) * d, row, 0, d);
                double square = 0;
                for (int c = 0; c < d; c++) {
                    double difference = row[c] - mean[c];
                    square += difference * difference;
                }
                largest = Math.max(largest, square);
            }
            most[head] = Math.sqrt(largest);
        });
        return most;
    }

    /** ||row|| of each row of {@code dim} elements. */
    static double[] rowNorms(Tensor tensor, int dim) {
        int rows = Math.toIntExact(tensor.size() / dim);
        double[] norms = new double[rows];
        int perChunk = Math.max(1, CHUNK / dim);
        IntStream.range(0, Math.ceilDiv(rows, perChunk)).parallel().forEach(chunk -> {
            int first = chunk * perChunk;
            int count = Math.min(perChunk, rows - first);
            float[] values = new float[count * dim];
            tensor.copyTo((long) first * dim, values, 0, values.length);
            for (int row = 0; row < count; row++) {
                double square = 0;
                for (int at = row * dim; at < (row + 1) * dim; at++) {
                    square += (double) values[at] * values[at];
                }
                norms[first + row] = Math.sqrt(square);
            }
        });
        return norms;
    }
}
