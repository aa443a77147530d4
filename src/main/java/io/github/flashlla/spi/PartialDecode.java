package io.github.flashlla.spi;

import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.util.Arrays;

/**
 * A decoding step over some of the keys of each head, where others hold the rest. It takes two rounds. First each part says what its keys
 * come to, {@link #gather}: weights, mean key and covariance merge exactly. Whoever merges them solves for x and gives it to all parts,
 * which then weigh their values with it, {@link #output}.
 */
public interface PartialDecode extends AutoCloseable {

    /** A cache that can hold a part of the keys. */
    interface Cache {
        /** @param heads H, a multiple of Hkv */
        PartialDecode partialDecode(int heads, LlaOptions options);
    }

    /**
     * What a part's keys come to for each query, with w_j = exp(scale q.k_j).
     *
     * @param logSumExp log sum w (B*H); -infinity where no key is seen
     * @param kbar sum w k / sum w (B*H,D); 0 where no key is seen
     * @param a sum w (k - kbar) (k - kbar)^T / sum w + ridge I (B*H,D,D); 0 where no key is seen
     */
    record Found(double[] logSumExp, double[] kbar, double[] a) {

        /** @param rows B*H */
        public static Found of(int rows, int dim) {
            return new Found(new double[rows], new double[rows * dim], new double[Math.multiplyExact(rows * dim, dim)]);
        }

        public int dim() {
            return kbar.length / logSumExp.length;
        }

        public long bytes() {
            return Double.BYTES * ((long) logSumExp.length + kbar.length + a.length);
        }

        /** Says of a query that it sees no key. */
        public void clear(int row) {
            int dim = dim();
            logSumExp[row] = Double.NEGATIVE_INFINITY;
            Arrays.fill(kbar, row * dim, (row + 1) * dim, 0);
            Arrays.fill(a, row * dim * dim, (row + 1) * dim * dim, 0);
        }

        /** Copies the upper triangle of a query's A to the lower one. */
        public void mirror(int row) {
            int dim = dim();
            int at = row * dim * dim;
            for (int i = 0; i < dim; i++) {
                for (int j = 0; j < i; j++) {
                    a[at + i * dim + j] = a[at + j * dim + i];
                }
            }
        }
    }

    /**
     * The first round.
     *
     * @param q (B,H,1,D)
     * @param ridge (B,H,1)
     * @param seen of each sequence, how many of its last tokens are counted (B)
     */
    void gather(Tensor q, Tensor ridge, int[] seen, Found found);

    /**
     * The second round, over the tokens of the first.
     *
     * @param x of the merged solve (B*H,D)
     * @param kbar of all keys (B*H,D)
     * @param o receives sum w (1 - (k - kbar).x) v / sum w over this part's keys, 0 where none is seen (B*H,Dv)
     */
    void output(double[] x, double[] kbar, double[] o);

    long workspaceBytes();

    @Override
    void close();
}
