package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.CovarianceDecode.STRIP;

import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link CovarianceDecode}'s solve: splits are merged, A is factored by Cholesky, and x = A^-1 (kbar - q). One work-group a head. */
public final class CovarianceSolve {

    private CovarianceSolve() {}

    /**
     * Merges the splits of one head and solves A x = kbar - q, one work-group per head; D at most 128, so that A's lower
     * triangle fits in local memory.
     *
     * @param a (B*H,D,D), receives A's lower triangle, which the residual is taken against
     * @param x (B*H,D)
     * @param kbar (B*H,D)
     * @param facts (B*H,5): largest score, 1 / sum w, 1 + (kbar - c).x, log-sum-exp, ||A x - b|| / ||b||
     */
    public static void solve(KernelContext context, FloatArray q, FloatArray ridges, IntArray lengths,
            FloatArray topScore, FloatArray sums, FloatArray sumZ, FloatArray centre, FloatArray a, FloatArray x,
            FloatArray kbar, FloatArray facts, IntArray sizes, int dim, int hw) {
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int strips = (dim + STRIP - 1) / STRIP;
        int items = hw * (strips * (strips + 1) / 2);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int head = context.groupIdx;
        int unit = head / hw;
        float ridge = ridges.get(head);

        float[] l = context.allocateFloatLocalArray(dim * (dim + 1) / 2); // row i starts at i (i + 1) / 2
        float[] zbar = context.allocateFloatLocalArray(dim);
        float[] b = context.allocateFloatLocalArray(dim);
        float[] y = context.allocateFloatLocalArray(dim);

        float top = Masking.LOW;
        float omega = 0;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, topScore.get(head * splits + s));
            omega += sumZ.get((head * splits + s) * (dim + 1) + dim);
        }
        float some = Math.min(lengths.get(head / heads), 1); // 0 for an empty sequence: everything below is then 0
        float perWeight = some / Math.max(omega, 1e-30f);
        for (int d = me; d < dim; d += threads) {
            float sum = 0;
            for (int s = 0; s < splits; s++) {
                sum += sumZ.get((head * splits + s) * (dim + 1) + d);
            }
            zbar[d] = sum * perWeight;
            float mean = some * (centre.get(head * dim + d) + zbar[d]);
            b[d] = some * ((centre.get(head * dim + d) - q.get(head * dim + d)) + zbar[d]);
            y[d] = b[d];
            kbar.set(head * dim + d, mean);
        }
        context.localBarrier();
        for (int i = me; i < dim * dim; i += threads) {
            int row = i / dim;
            int column = i % dim;
            if (column <= row) {
                // the tile sums hold the upper triangle: element (column, row)
                int tile = (row / STRIP) * (row / STRIP + 1) / 2 + column / STRIP;
                int element = column % STRIP * STRIP + row % STRIP;
                int item = head % hw * (items / hw) + tile;
                float sum = 0;
                for (int s = 0; s < splits; s++) {
                    sum += sums.get(((unit * splits + s) * STRIP * STRIP + element) * items + item);
                }
                float value = sum * perWeight - zbar[row] * zbar[column];
                if (row == column) {
                    value += ridge;
                }
                l[row * (row + 1) / 2 + column] = value;
                a.set(head * dim * dim + i, value);
            }
        }
        context.globalBarrier();
        for (int p = 0; p < dim; p++) {
            int diagonal = p * (p + 1) / 2 + p;
            // in exact arithmetic no pivot is below the ridge
            float pivot = TornadoMath.sqrt(Math.max(l[diagonal], ridge));
            context.localBarrier();
            for (int i = p + me; i < dim; i += threads) {
                int at = i * (i + 1) / 2 + p;
                float value = l[at] / pivot;
                if (i == p) {
                    value = pivot;
                }
                l[at] = value;
            }
            context.localBarrier();
            float solved = y[p] / pivot; // forward substitution on the way
            for (int i = p + 1 + me; i < dim; i += threads) {
                float factor = l[i * (i + 1) / 2 + p];
                for (int j = p + 1; j <= i; j++) {
                    l[i * (i + 1) / 2 + j] -= factor * l[j * (j + 1) / 2 + p];
                }
                y[i] -= factor * solved;
            }
            context.localBarrier();
            if (me == 0) {
                y[p] = solved;
            }
        }
        context.localBarrier();
        for (int back = 0; back < dim; back++) {
            int p = dim - 1 - back;
            float solved = y[p] / l[p * (p + 1) / 2 + p];
            context.localBarrier();
            for (int i = me; i <= p; i += threads) {
                float value = y[i] - l[p * (p + 1) / 2 + i] * solved;
                if (i == p) {
                    value = solved;
                }
                y[i] = value;
            }
            context.localBarrier();
        }
        for (int i = me; i < dim; i += threads) {
            x.set(head * dim + i, y[i]);
            float product = 0;
            for (int j = 0; j < dim; j++) {
                product += a.get(head * dim * dim + Math.max(i, j) * dim + Math.min(i, j)) * y[j];
            }
            l[i] = product - b[i]; // the factor is no longer needed
        }
        context.localBarrier();
        if (me == 0) {
            float zx = 0;
            float rr = 0;
            float bb = 0;
            for (int d = 0; d < dim; d++) {
                zx += zbar[d] * y[d];
                rr += l[d] * l[d];
                bb += b[d] * b[d];
            }
            facts.set(head * 5, top);
            facts.set(head * 5 + 1, perWeight);
            facts.set(head * 5 + 2, 1 + zx);
            facts.set(head * 5 + 3, top + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(head * 5 + 4, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
        }
    }

    /**
     * {@link #solve} for D = 1, whose A is a number: TornadoVM compiles no loop that it knows to be empty.
     *
     * @param dim 1; SPIR-V needs a second number among the arguments
     */
    public static void solveOneDim(KernelContext context, FloatArray q, FloatArray ridges, IntArray lengths, FloatArray topScore,
            FloatArray sums, FloatArray sumZ, FloatArray centre, FloatArray x, FloatArray kbar, FloatArray facts, IntArray sizes,
            int hw, int dim) {
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int head = context.groupIdx;
        if (context.localIdx == 0) {
            float top = Masking.LOW;
            float omega = 0;
            float sumOfZ = 0;
            float sumOfSquares = 0;
            for (int s = 0; s < splits; s++) {
                int part = head * splits + s;
                top = Math.max(top, topScore.get(part));
                sumOfZ += sumZ.get(2 * part);
                omega += sumZ.get(2 * part + 1);
                sumOfSquares += sums.get((head / hw * splits + s) * STRIP * STRIP * hw + head % hw);
            }
            float some = Math.min(lengths.get(head / heads), 1); // 0 for an empty sequence: everything below is then 0
            float perWeight = some / Math.max(omega, 1e-30f);
            float ridge = ridges.get(head);
            float zbar = sumOfZ * perWeight;
            float b = some * ((centre.get(head) - q.get(head)) + zbar);
            // in exact arithmetic no variance is below 0
            float a = Math.max(sumOfSquares * perWeight - zbar * zbar, 0f) + ridge;
            float solution = b / a;
            float residual = a * solution - b;
            x.set(head, solution);
            kbar.set(head, some * (centre.get(head) + zbar));
            facts.set(head * 5, top);
            facts.set(head * 5 + 1, perWeight);
            facts.set(head * 5 + 2, 1 + zbar * solution);
            facts.set(head * 5 + 3, top + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(head * 5 + 4, TornadoMath.sqrt(residual * residual / Math.max(b * b, 1e-30f)));
        }
    }

    /**
     * {@link #solve} for head dims whose triangle exceeds local memory: the factor overwrites A's lower triangle in {@code a},
     * and the residual is taken against its upper triangle and diagonal, which stay.
     */
    public static void solveInGlobal(KernelContext context, FloatArray q, FloatArray ridges, IntArray lengths,
            FloatArray topScore, FloatArray sums, FloatArray sumZ, FloatArray centre, FloatArray a, FloatArray x,
            FloatArray kbar, FloatArray facts, IntArray sizes, int dim, int hw) {
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int strips = (dim + STRIP - 1) / STRIP;
        int items = hw * (strips * (strips + 1) / 2);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int head = context.groupIdx;
        int unit = head / hw;
        float ridge = ridges.get(head);

        float[] diagonals = context.allocateFloatLocalArray(dim);
        float[] zbar = context.allocateFloatLocalArray(dim);
        float[] b = context.allocateFloatLocalArray(dim);
        float[] y = context.allocateFloatLocalArray(dim);

        float top = Masking.LOW;
        float omega = 0;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, topScore.get(head * splits + s));
            omega += sumZ.get((head * splits + s) * (dim + 1) + dim);
        }
        float some = Math.min(lengths.get(head / heads), 1); // 0 for an empty sequence: everything below is then 0
        float perWeight = some / Math.max(omega, 1e-30f);
        for (int d = me; d < dim; d += threads) {
            float sum = 0;
            for (int s = 0; s < splits; s++) {
                sum += sumZ.get((head * splits + s) * (dim + 1) + d);
            }
            zbar[d] = sum * perWeight;
            float mean = some * (centre.get(head * dim + d) + zbar[d]);
            b[d] = some * ((centre.get(head * dim + d) - q.get(head * dim + d)) + zbar[d]);
            y[d] = b[d];
            kbar.set(head * dim + d, mean);
        }
        int base = head * dim * dim;
        context.localBarrier();
        for (int i = me; i < dim * dim; i += threads) {
            int row = i / dim;
            int column = i % dim;
            if (column <= row) {
                // the tile sums hold the upper triangle: element (column, row)
                int tile = (row / STRIP) * (row / STRIP + 1) / 2 + column / STRIP;
                int element = column % STRIP * STRIP + row % STRIP;
                int item = head % hw * (items / hw) + tile;
                float sum = 0;
                for (int s = 0; s < splits; s++) {
                    sum += sums.get(((unit * splits + s) * STRIP * STRIP + element) * items + item);
                }
                float value = sum * perWeight - zbar[row] * zbar[column];
                if (row == column) {
                    value += ridge;
                }
                a.set(base + i, value);
                a.set(base + column * dim + row, value);
                if (row == column) {
                    diagonals[row] = value;
                }
            }
        }
        context.globalBarrier();
        for (int p = 0; p < dim; p++) {
            int diagonal = base + p * dim + p;
            // in exact arithmetic no pivot is below the ridge
            float pivot = TornadoMath.sqrt(Math.max(a.get(diagonal), ridge));
            context.globalBarrier();
            for (int i = p + me; i < dim; i += threads) {
                int at = base + i * dim + p;
                float value = a.get(at) / pivot;
                if (i == p) {
                    value = pivot;
                }
                a.set(at, value);
            }
            context.globalBarrier();
            float solved = y[p] / pivot; // forward substitution on the way
            for (int i = p + 1 + me; i < dim; i += threads) {
                float factor = a.get(base + i * dim + p);
                for (int j = p + 1; j <= i; j++) {
                    int at = base + i * dim + j;
                    a.set(at, a.get(at) - factor * a.get(base + j * dim + p));
                }
                y[i] -= factor * solved;
            }
            context.globalBarrier();
            if (me == 0) {
                y[p] = solved;
            }
        }
        context.globalBarrier();
        for (int back = 0; back < dim; back++) {
            int p = dim - 1 - back;
            float solved = y[p] / a.get(base + p * dim + p);
            context.localBarrier();
            for (int i = me; i <= p; i += threads) {
                float value = y[i] - a.get(base + p * dim + i) * solved;
                if (i == p) {
                    value = solved;
                }
                y[i] = value;
            }
            context.localBarrier();
        }
        for (int i = me; i < dim; i += threads) {
            x.set(head * dim + i, y[i]);
            float product = 0;
            for (int j = 0; j < dim; j++) {
                float element = diagonals[i];
                if (j != i) {
                    element = a.get(base + Math.min(i, j) * dim + Math.max(i, j));
                }
                product += element * y[j];
            }
            diagonals[i] = product - b[i];
        }
        context.localBarrier();
        if (me == 0) {
            float zx = 0;
            float rr = 0;
            float bb = 0;
            for (int d = 0; d < dim; d++) {
                zx += zbar[d] * y[d];
                rr += diagonals[d] * diagonals[d];
                bb += b[d] * b[d];
            }
            facts.set(head * 5, top);
            facts.set(head * 5 + 1, perWeight);
            facts.set(head * 5 + 2, 1 + zx);
            facts.set(head * 5 + 3, top + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(head * 5 + 4, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
        }
    }
}
