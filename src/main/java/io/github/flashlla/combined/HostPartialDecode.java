package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.PartialDecode;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Decoding over some of the keys in float64 on the host, for devices that have no such thing of their own: it copies the keys each step. */
final class HostPartialDecode implements PartialDecode {
    private final KvCache cache;
    private final AttentionShape shape;
    private final LlaOptions options;
    /** Of each query, the scores of the tokens that it sees (B*H,n), and their log-sum-exp (B*H). */
    private final double[][] scores;
    private final double[] logSumExp;
    /** Of each key/value head, the keys that are seen (B*Hkv,n*D). */
    private final double[][] keys;
    /** Of each sequence, how many of its last tokens are seen (B). */
    private final int[] seen;

    HostPartialDecode(KvCache cache, int heads, LlaOptions options) {
        this.cache = cache;
        this.shape = cache.shape().step(heads);
        this.options = options;
        int rows = shape.batch() * shape.heads();
        this.scores = new double[rows][];
        this.logSumExp = new double[rows];
        this.keys = new double[shape.batch() * shape.kvHeads()][];
        this.seen = new int[shape.batch()];
    }

    @Override
    public void gather(Tensor q, Tensor ridge, int[] seenTokens, Found found) {
        System.arraycopy(seenTokens, 0, seen, 0, seen.length);
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            read(cache.keys(sequence), sequence, shape.headDim(), keys);
        }
        IntStream.range(0, scores.length).parallel().forEach(row -> gather(row, q, ridge, found));
    }

    /** The tokens that are seen, of each head. */
    private void read(Tensor all, int sequence, int width, double[][] to) {
        int length = cache.length(sequence);
        for (int head = 0; head < shape.kvHeads(); head++) {
            double[] rows = new double[seen[sequence] * width];
            long start = ((long) head * length + length - seen[sequence]) * width;
            Arrays.setAll(rows, i -> all.get(start + i));
            to[sequence * shape.kvHeads() + head] = rows;
        }
    }

    private void gather(int row, Tensor q, Tensor ridge, Found found) {
        int dim = shape.headDim();
        int n = seen[row / shape.heads()];
        double[] k = keys[shape.kvHeadOf(row)];
        scores[row] = new double[n];
        found.clear(row);
        logSumExp[row] = Double.NEGATIVE_INFINITY;
        if (n == 0) {
            return;
        }
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < n; j++) {
            double dot = 0;
            for (int d = 0; d < dim; d++) {
                dot += q.get((long) row * dim + d) * k[j * dim + d];
            }
            scores[row][j] = options.scaleFor(dim) * dot;
            max = Math.max(max, scores[row][j]);
        }
        double omega = 0;
        for (double score : scores[row]) {
            omega += Math.exp(score - max);
        }
        logSumExp[row] = max + Math.log(omega);
        found.logSumExp()[row] = logSumExp[row];
        for (int j = 0; j < n; j++) {
            double p = Math.exp(scores[row][j] - logSumExp[row]);
            for (int d = 0; d < dim; d++) {
                found.kbar()[row * dim + d] += p * k[j * dim + d];
            }
        }
        double[] z = new double[dim];
        int a = row * dim * dim;
        for (int j = 0; j < n; j++) {
            double p = Math.exp(scores[row][j] - logSumExp[row]);
            for (int d = 0; d < dim; d++) {
                z[d] = k[j * dim + d] - found.kbar()[row * dim + d];
            }
            for (int i = 0; i < dim; i++) {
                for (int e = i; e < dim; e++) {
                    found.a()[a + i * dim + e] += p * z[i] * z[e];
                }
            }
        }
        for (int d = 0; d < dim; d++) {
            found.a()[a + d * dim + d] += ridge.get(row);
        }
        found.mirror(row);
    }

    @Override
    public void output(double[] x, double[] kbar, double[] o) {
        double[][] values = new double[keys.length][];
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            read(cache.values(sequence), sequence, shape.valueDim(), values);
        }
        IntStream.range(0, scores.length).parallel().forEach(row -> output(row, values[shape.kvHeadOf(row)], x, kbar, o));
    }

    private void output(int row, double[] v, double[] x, double[] kbar, double[] o) {
        int dim = shape.headDim();
        int valueDim = shape.valueDim();
        double[] k = keys[shape.kvHeadOf(row)];
        Arrays.fill(o, row * valueDim, (row + 1) * valueDim, 0);
        for (int j = 0; j < scores[row].length; j++) {
            double slope = 1;
            for (int d = 0; d < dim; d++) {
                slope -= (k[j * dim + d] - kbar[row * dim + d]) * x[row * dim + d];
            }
            double weight = Math.exp(scores[row][j] - logSumExp[row]) * slope;
            for (int e = 0; e < valueDim; e++) {
                o[row * valueDim + e] += weight * v[j * valueDim + e];
            }
        }
    }

    @Override
    public long workspaceBytes() {
        long elements = logSumExp.length; // the last step's keys and scores stay
        for (double[] head : keys) {
            elements += head == null ? 0 : head.length;
        }
        for (double[] row : scores) {
            elements += row == null ? 0 : row.length;
        }
        return Double.BYTES * elements;
    }

    @Override
    public void close() {}
}
