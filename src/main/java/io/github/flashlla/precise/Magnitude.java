package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Tensor;
import java.util.stream.IntStream;

/** Sizes of a tensor's rows and elements, on all processors. */
final class Magnitude {
    private static final int CHUNK = 1 << 14;

    /** Of each thread, so that runs allocate nothing to speak of. */
    private static final ThreadLocal<float[]> BUFFER = ThreadLocal.withInitial(() -> new float[CHUNK]);

    private Magnitude() {}

    /** This thread's own, until the next call. */
    static float[] buffer() {
        return BUFFER.get();
    }

    /** Largest absolute value; infinite or NaN elements are left to others. */
    static float largest(Tensor tensor) {
        int chunks = Math.toIntExact(Math.ceilDiv(tensor.size(), CHUNK));
        return (float) IntStream.range(0, chunks).parallel().mapToDouble(chunk -> {
            int count = (int) Math.min(CHUNK, tensor.size() - (long) chunk * CHUNK);
            float[] values = BUFFER.get();
            tensor.copyTo((long) chunk * CHUNK, values, 0, count);
            float most = 0;
            for (int i = 0; i < count; i++) {
                most = Math.max(most, Math.abs(values[i]));
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

    /** Elements as float32, which is how every device reads them. */
    static void read(Tensor tensor, long from, int count, double[] values) {
        float[] buffer = BUFFER.get();
        for (int done = 0; done < count; done += CHUNK) {
            int chunk = Math.min(CHUNK, count - done);
            tensor.copyTo(from + done, buffer, 0, chunk);
            for (int i = 0; i < chunk; i++) {
                values[done + i] = buffer[i];
            }
        }
    }

    /** Some elements of a tensor, as float32. */
    interface Chunk {
        void take(long at, float[] values, int count);
    }

    static void forEachChunk(Tensor tensor, Chunk chunk) {
        float[] buffer = BUFFER.get();
        for (long at = 0; at < tensor.size(); at += CHUNK) {
            int count = (int) Math.min(CHUNK, tensor.size() - at);
            tensor.copyTo(at, buffer, 0, count);
            chunk.take(at, buffer, count);
        }
    }

    static void write(float[] values, int count, Tensor to, long at) {
        to.copyFrom(values, 0, at, count);
    }

    static int rowsPerChunk(int dim) {
        return Math.max(1, CHUNK / dim);
    }

    /** ||row|| of each row of {@code dim} elements. */
    static double[] rowNorms(Tensor tensor, int dim) {
        int rows = Math.toIntExact(tensor.size() / dim);
        double[] norms = new double[rows];
        int perChunk = rowsPerChunk(dim);
        IntStream.range(0, Math.ceilDiv(rows, perChunk)).parallel().forEach(chunk -> {
            int first = chunk * perChunk;
            int count = Math.min(perChunk, rows - first);
            float[] values = dim > CHUNK ? new float[dim] : BUFFER.get();
            tensor.copyTo((long) first * dim, values, 0, count * dim);
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
