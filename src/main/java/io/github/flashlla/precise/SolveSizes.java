package io.github.flashlla.precise;

import io.github.flashlla.Tensor;

/**
 * What the rounding of one query's solve grows with, per query, (B,H,Sq) row-major.
 *
 * @param x ||x||
 * @param b ||kbar - q||
 * @param xb x.(kbar - q)
 * @param effectiveKeys exp of the entropy of the weights: how many keys share the weight
 */
public record SolveSizes(double[] x, double[] b, double[] xb, double[] effectiveKeys) {

    /** Room for {@code rows} queries. */
    public static SolveSizes allocate(int rows) {
        return new SolveSizes(new double[rows], new double[rows], new double[rows], new double[rows]);
    }

    /** @param logSumExp log of each query's total weight */
    static SolveSizes of(Tensor q, KeptState kept, Tensor logSumExp, double scale) {
        int rows = Math.toIntExact(logSumExp.size());
        int d = Math.toIntExact(q.size() / rows);
        SolveSizes sizes = allocate(rows);
        int perChunk = Magnitude.rowsPerChunk(3 * d);
        Magnitude.indices(Math.ceilDiv(rows, perChunk), 3 * q.size()).forEach(chunk -> {
            int first = chunk * perChunk;
            int count = Math.min(perChunk, rows - first);
            int size = count * d;
            float[] values = Magnitude.buffer(); // q, kbar, x
            q.copyTo((long) first * d, values, 0, size);
            kept.kbar().copyTo((long) first * d, values, size, size);
            kept.x().copyTo((long) first * d, values, 2 * size, size);
            for (int row = 0; row < count; row++) {
                int query = row * d;
                int kbar = size + query;
                int x = 2 * size + query;
                double qk = 0;
                double xx = 0;
                double bb = 0;
                double xb = 0;
                for (int c = 0; c < d; c++) { // four sums, none of which waits for another
                    double ofQuery = values[query + c];
                    double ofKbar = values[kbar + c];
                    double ofX = values[x + c];
                    double ofB = ofKbar - ofQuery;
                    qk += ofQuery * ofKbar;
                    xx += ofX * ofX;
                    bb += ofB * ofB;
                    xb += ofX * ofB;
                }
                sizes.x[first + row] = Math.sqrt(xx);
                sizes.b[first + row] = Math.sqrt(bb);
                sizes.xb[first + row] = xb;
                // entropy: log-sum-exp less the mean score
                sizes.effectiveKeys[first + row] = Math.max(1, Math.exp(logSumExp.get(first + row) - scale * qk));
            }
        });
        return sizes;
    }
}
