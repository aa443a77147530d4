package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Random;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A key cache in a mapped file, many times as large as Java's memory, decodes. The files are sparse: most keys and values are 0. */
class LargeFilesIT {
    private static final int HEADS = 2;
    private static final int D = 64;
    private static final int DV = 8;
    private static final int OTHERS = 5;

    @TempDir
    Path folder;
    private final Random random = new Random(17);

    @ParameterizedTest(name = "{0} keys a head, -Xmx{1}")
    @CsvSource({"800000,128m", "12600000,1g"})
    void decodes(int keys, String memory) throws IOException {
        long bytes = (long) HEADS * keys * D * Float.BYTES;
        assumeTrue(bytes < 1L << 30 || Boolean.getBoolean("flashlla.large"), "maps " + bytes / 1_000_000_000 + " GB; -Dflashlla.large=true runs it");
        Tensor q = Tensor.allocate(DataType.FLOAT32, HEADS, 1, D);
        for (long i = 0; i < q.size(); i++) {
            q.set(i, random.nextGaussian());
        }
        Npy.write(folder.resolve("q.npy"), q);
        double[] expected = new double[HEADS * DV];
        try (FileChannel k = sparse("k.npy", keys, D); FileChannel v = sparse("v.npy", keys, DV)) {
            for (int head = 0; head < HEADS; head++) {
                double[] query = Arrays.copyOfRange(q.toDoubleArray(), head * D, (head + 1) * D);
                System.arraycopy(head(k, v, head, keys, query), 0, expected, head * DV, DV);
            }
        }
        Launcher.Run run = new Launcher(folder).with("FLASHLLA_JAVA_OPTS", "-Xmx" + memory).run("run", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy",
                "--out", "o.npy");
        assertEquals(0, run.status(), run.err());
        System.out.println(run.out().strip());
        assertArrayEquals(expected, Npy.read(folder.resolve("o.npy")).toDoubleArray(), 1e-4);
    }

    private FileChannel sparse(String name, int keys, int dim) throws IOException {
        FileChannel file = FileChannel.open(folder.resolve(name), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, StandardOpenOption.SPARSE);
        String header = String.format("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d), }", HEADS, keys, dim);
        ByteBuffer start = ByteBuffer.allocate(128).order(ByteOrder.LITTLE_ENDIAN).put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0})
                .putShort((short) 118).put(header.getBytes(StandardCharsets.ISO_8859_1));
        while (start.position() < 127) {
            start.put((byte) ' ');
        }
        file.write(start.put((byte) '\n').flip(), 0);
        file.write(ByteBuffer.wrap(new byte[1]), 128 + (long) HEADS * keys * dim * Float.BYTES - 1);
        return file;
    }

    /** Puts a few heavy keys among the zeros of a head; returns the output in float64, where the zeros are one key of all their weight. */
    private double[] head(FileChannel kFile, FileChannel vFile, int head, int keys, double[] q) throws IOException {
        double[][] k = new double[OTHERS + 1][D];
        double[][] v = new double[OTHERS + 1][DV];
        double[] p = new double[OTHERS + 1];
        p[OTHERS] = keys - OTHERS;
        for (int n = 0; n < OTHERS; n++) {
            double score = 0;
            for (int d = 0; d < D; d++) {
                k[n][d] = (float) (q[d] * (Math.log(keys) - n) * Math.sqrt(D) / dot(q, q) + 0.3 * random.nextGaussian());
                score += q[d] * k[n][d] / Math.sqrt(D);
            }
            for (int e = 0; e < DV; e++) {
                v[n][e] = (float) random.nextGaussian();
            }
            p[n] = Math.exp(score);
            long row = (long) head * keys + (long) (keys - 1) * n / (OTHERS - 1); // the first and the last among them
            write(kFile, row, k[n]);
            write(vFile, row, v[n]);
        }
        double total = Arrays.stream(p).sum();
        DMatrixRMaj a = CommonOps_DDRM.identity(D);
        double[] mean = new double[D];
        for (int n = 0; n <= OTHERS; n++) {
            for (int d = 0; d < D; d++) {
                mean[d] += p[n] / total * k[n][d];
            }
        }
        DMatrixRMaj b = new DMatrixRMaj(D, 1);
        for (int d = 0; d < D; d++) {
            b.set(d, mean[d] - q[d]);
            for (int c = 0; c < D; c++) {
                for (int n = 0; n <= OTHERS; n++) {
                    a.add(d, c, p[n] / total * (k[n][d] - mean[d]) * (k[n][c] - mean[c]));
                }
            }
        }
        DMatrixRMaj x = new DMatrixRMaj(D, 1);
        CommonOps_DDRM.solve(a, b, x);
        double[] o = new double[DV];
        for (int n = 0; n < OTHERS; n++) {
            double slope = dot(k[n], x.data) - dot(mean, x.data);
            for (int e = 0; e < DV; e++) {
                o[e] += p[n] / total * (1 - slope) * v[n][e];
            }
        }
        return o;
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int d = 0; d < a.length; d++) {
            sum += a[d] * b[d];
        }
        return sum;
    }

    private static void write(FileChannel file, long row, double[] values) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (double value : values) {
            bytes.putFloat((float) value);
        }
        file.write(bytes.flip(), 128 + row * bytes.limit());
    }
}
