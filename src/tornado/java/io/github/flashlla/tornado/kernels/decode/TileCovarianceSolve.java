package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Tile;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link TileCovariance}'s solve: A = L D L^T of a covariance that is good to three digits or so, and steps along what its factors make of
 * the residual, each as long as the product with the exact A says.
 */
public final class TileCovarianceSolve {
    private TileCovarianceSolve() {}

    /** Elements of a head's factors: row i of L D from i (i + 1) / 2, D on its end. */
    static int factorFloats(int dim) {
        return dim * (dim + 1) / 2;
    }

    /**
     * Merges the splits, factors A, and makes the first direction of what solves A y = kbar - q. One work-group a head.
     *
     * @param k the cache's keys
     * @param q (B,H,D)
     * @param ridges (B,H)
     * @param moments from {@link TileCovariance#moments}
     * @param sums likewise
     * @param state out (B*H,{@value CgDecodeState#VECTORS},D)
     * @param facts out (B*H,{@value CgDecodeState#FACTS})
     * @param factors out (B*H,{@link #factorFloats})
     * @param sizes {@link DecodeSizes}
     * @param shares sets of a split's moments
     * @param parts of a matrix
     * @param threads 256
     * @param plan of the first pass
     */
    public static void begin(KernelContext context, HalfFloatArray k, FloatArray q, FloatArray ridges, IntArray lengths, FloatArray moments,
            FloatArray sums, FloatArray state, FloatArray facts, FloatArray factors, IntArray sizes, FloatArray settings, int dim, int shares,
            int parts, int threads, int plan) {
        int groups = dim <= 64 ? 4 : 2;
        Tile.launchBounds(threads, groups);
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        float scale = settings.get(DecodeSizes.SCALE);
        int n16 = dim / 16;
        int half = n16 / 2;
        int longer = n16 / (2 * parts);
        int perPart = n16 * (n16 + 1) / 2 / parts;
        int triangle = dim * (dim + 1) / 2;
        int width = dim + 3;
        int me = context.localIdx;
        int head = context.groupIdx;
        int length = lengths.get(head / heads);
        int firstRow = head / group * sizes.get(DecodeSizes.CAPACITY);
        float ridge = ridges.get(head);
        float[] a = context.allocateFloatLocalArray(triangle);
        float[] zbar = context.allocateFloatLocalArray(dim);
        float[] right = context.allocateFloatLocalArray(dim);
        float[] y = context.allocateFloatLocalArray(dim);
        float[] mean = context.allocateFloatLocalArray(dim);
        float[] shared = context.allocateFloatLocalArray(dim);
        int[] pivots = context.allocateIntLocalArray(2 * dim + 8);
        Tile.align(pivots, 16);

        float top = Masking.LOW;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, sums.get((head * splits + s) * width + dim + 1));
        }
        float omega = 0;
        for (int s = 0; s < splits; s++) {
            int at = (head * splits + s) * width + dim;
            omega += TornadoMath.exp(sums.get(at + 2) - top) * sums.get(at);
        }
        float some = Math.min(length, 1); // 0 for an empty sequence: everything below is then 0
        float perWeight = some / Math.max(omega, 1e-30f);
        if (me < dim) {
            int d = me;
            float sum = 0;
            for (int s = 0; s < splits; s++) {
                int at = (head * splits + s) * width;
                sum += TornadoMath.exp(sums.get(at + dim + 2) - top) * sums.get(at + d);
            }
            float z = sum * perWeight;
            float c = TileCovariance.centre(k, firstRow, length, d, dim);
            float origin = k.get(CacheLayout.index(firstRow, d, dim)).getFloat32();
            float query = q.get(head * dim + d);
            zbar[d] = z;
            right[d] = some * ((c - query) + z);
            mean[d] = some * ((c - origin) + z);
            shared[d] = some * (origin * query * scale);
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.KBAR) * dim + d, some * (c + z));
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.ZBAR) * dim + d, some * ((c - origin) + z));
        }
        context.localBarrier();
        int atOnce = perPart / 2;
        float[] sum = new float[atOnce]; // of a thread's elements of some blocks
        for (int chunk = 0; chunk < 2 * parts; chunk++) {
            for (int e = 0; e < atOnce; e++) {
                sum[e] = 0;
            }
            for (int s = 0; s < splits; s++) {
                float factor = TornadoMath.exp(sums.get((head * splits + s) * width + dim + 2) - top);
                for (int i = 0; i < shares; i++) {
                    int from = (((head * splits + s) * shares + i) * (parts * perPart) + chunk * atOnce) * 256 + me;
                    for (int e = 0; e < atOnce; e++) {
                        sum[e] += factor * moments.get(from + 256 * e);
                    }
                }
            }
            int rowIn = me / 64 % 2 * 8 + me % 64 / 8;
            int columnIn = me / 128 * 8 + me % 8;
            for (int e = 0; e < atOnce; e++) {
                int part = chunk / 2;
                int block = chunk % 2 * atOnce + e;
                int beyond = block - longer * (half + 1); // the first rows of blocks have one more
                int j = beyond < 0 ? block / (half + 1) : longer + beyond / half;
                int d = beyond < 0 ? block % (half + 1) : beyond % half;
                int row = 16 * (part + parts * j) + rowIn;
                int column = 16 * ((part + parts * j + d) % n16) + columnIn;
                if (row + dim * d >= column) { // not "d > 0 || row >= column": TornadoVM then goes on with the body where it is false
                    float value = sum[e] * perWeight - zbar[row] * zbar[column];
                    if (row == column) {
                        value += ridge;
                    }
                    int i = Math.max(row, column);
                    a[i * (i + 1) / 2 + Math.min(row, column)] = value;
                }
            }
        }
        context.localBarrier();
        // a thread has every 16th element of every 16th row in registers; a step costs one barrier
        int tx = me & 15;
        int ty = me >> 4;
        float[] own = new float[n16 * n16];
        float[] byRow = new float[n16];
        float[] byColumn = new float[n16];
        float[] solved = new float[n16];
        for (int r = 0; r < n16; r++) {
            solved[r] = right[ty + 16 * r];
            for (int c = 0; c < n16; c++) {
                int i = Math.max(ty + 16 * r, tx + 16 * c);
                own[r * n16 + c] = a[i * (i + 1) / 2 + Math.min(ty + 16 * r, tx + 16 * c)];
            }
        }
        // not a loop: own would be in memory
        eliminate(context, own, byRow, byColumn, solved, pivots, 0, tx, ty, ridge, dim);
        eliminate(context, own, byRow, byColumn, solved, pivots, 1, tx, ty, ridge, dim);
        eliminate(context, own, byRow, byColumn, solved, pivots, 2, tx, ty, ridge, dim);
        eliminate(context, own, byRow, byColumn, solved, pivots, 3, tx, ty, ridge, dim);
        if (n16 > 4) {
            eliminate(context, own, byRow, byColumn, solved, pivots, 4, tx, ty, ridge, dim);
            eliminate(context, own, byRow, byColumn, solved, pivots, 5, tx, ty, ridge, dim);
            eliminate(context, own, byRow, byColumn, solved, pivots, 6, tx, ty, ridge, dim);
            eliminate(context, own, byRow, byColumn, solved, pivots, 7, tx, ty, ridge, dim);
        }
        for (int r = 0; r < n16; r++) {
            int i = ty + 16 * r;
            for (int c = 0; c < n16; c++) {
                int j = tx + 16 * c;
                if (j <= i) {
                    a[i * (i + 1) / 2 + j] = own[r * n16 + c];
                }
                if (j == i) {
                    y[i] = solved[r] / Math.max(own[r * n16 + c], ridge);
                }
            }
        }
        context.localBarrier();
        for (int i = me; i < triangle; i += threads) {
            factors.set(head * triangle + i, a[i]);
        }
        float xb = 0;
        float bb = 0;
        float common = 0;
        for (int d = 0; d < dim; d++) { // by every thread: shorter than the barriers of a tree
            xb += y[d] * right[d];
            bb += right[d] * right[d];
            common += shared[d];
        }
        float active = 0;
        if (bb > 0) {
            active = 1;
        }
        float usable = 0; // what overflowed is not: the step then goes along kbar - q
        if (xb > 0 && xb < 1e30f) {
            usable = 1;
        }
        float meanProduct = 0;
        for (int d = 0; d < dim; d++) {
            meanProduct += mean[d] * (usable > 0 ? y[d] : right[d]);
        }
        for (int d = me; d < dim; d += threads) {
            int vectors = head * CgDecodeState.VECTORS * dim + d;
            state.set(vectors + CgDecodeState.X * dim, 0f);
            state.set(vectors + CgDecodeState.R * dim, right[d]);
            state.set(vectors + CgDecodeState.Y * dim, active > 0 ? usable > 0 ? y[d] : right[d] : 0f);
            state.set(vectors + CgDecodeState.AQ * dim, 0f);
        }
        if (me == 0) {
            int fact = head * CgDecodeState.FACTS;
            facts.set(fact + CgDecodeState.TOP, top);
            facts.set(fact + CgDecodeState.PER_WEIGHT, perWeight);
            facts.set(fact + CgDecodeState.MEAN, 0);
            facts.set(fact + CgDecodeState.LSE, top + common + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(fact + CgDecodeState.RESIDUAL, active);
            facts.set(fact + CgDecodeState.RR, bb);
            facts.set(fact + CgDecodeState.BB, bb);
            facts.set(fact + CgDecodeState.QAQ, 0);
            facts.set(fact + CgDecodeState.FIRST_STEP, 0);
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, active * meanProduct);
            CgDecodeState.start(facts, fact, active, plan);
        }
    }

    /**
     * 16 steps of Gauss and Jordan's elimination: rows above a pivot, too, so that what is left on the right is the solution times the pivots. Below
     * the pivots own is L D then.
     *
     * @param own this thread's elements, (ty + 16 r, tx + 16 c)
     * @param solved right side, of rows ty + 16 r
     * @param block of 16 pivots
     */
    private static void eliminate(KernelContext context, float[] own, float[] byRow, float[] byColumn, float[] solved, int[] pivots, int block, int tx,
            int ty, float ridge, int dim) {
        int n16 = dim / 16;
        int sixteen = 16 + (context.groupIdx >> 30); // a bound that no compiler knows: the loop stays one
        float[] four = new float[4];
        for (int within = 0; within < sixteen; within++) {
            // a column as (row % 16, row / 16); a helper's own stores to local memory have wrong addresses in TornadoVM
            int column = Tile.address(pivots) + (within & 1) * (4 * dim + 16);
            if (tx == within) {
                for (int r = 0; r < n16; r += 2) {
                    Tile.storeLocal2(pivots, column + 4 * (ty * n16 + r), own[r * n16 + block], own[(r + 1) * n16 + block]);
                }
            }
            if (context.localIdx == 16 * within) {
                Tile.storeLocal2(pivots, column + 4 * dim, solved[block], 0f);
            }
            context.localBarrier();
            for (int r = 0; r < n16; r += 4) {
                Tile.loadLocal4(byRow, r, pivots, column + 4 * (ty * n16 + r));
                Tile.loadLocal4(byColumn, r, pivots, column + 4 * (tx * n16 + r));
            }
            Tile.loadLocal4(four, 0, pivots, column + 4 * (within * n16 + block / 4 * 4));
            float inverse = 1f / Math.max(four[block % 4], ridge); // in exact arithmetic no pivot is below the ridge
            Tile.loadLocal4(four, 0, pivots, column + 4 * dim);
            for (int r = 0; r < n16; r++) {
                byRow[r] = r == block && ty == within ? 0f : byRow[r] * inverse;
                solved[r] -= byRow[r] * four[0];
            }
            for (int c = block; c < n16; c++) {
                float element = c > block || tx > within ? byColumn[c] : 0f;
                for (int r = 0; r < n16; r++) {
                    own[r * n16 + c] -= byRow[r] * element;
                }
            }
        }
    }

    /**
     * A step along y, as long as makes the residual's product with y zero, and what is left of the residual. Where that is too much, the next
     * direction: what the factors make of it, conjugate to this one. One work-group a head.
     *
     * @param parts from {@link TileDecodePass}
     * @param hw heads of a unit of the pass
     * @param pass its number
     */
    public static void advance(KernelContext context, FloatArray ridges, FloatArray parts, FloatArray state, FloatArray facts, FloatArray factors,
            IntArray sizes, FloatArray settings, int dim, int hw, int pass) {
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int triangle = dim * (dim + 1) / 2;
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int head = context.groupIdx;
        int vectors = head * CgDecodeState.VECTORS * dim;
        HeadStep mine = new HeadStep(facts, sizes, head, hw, pass);
        float ridge = ridges.get(head);
        float[] ay = context.allocateFloatLocalArray(dim);
        float[] localR = context.allocateFloatLocalArray(dim);
        float[] localY = context.allocateFloatLocalArray(dim);
        float[] localMean = context.allocateFloatLocalArray(dim);
        float[] left = context.allocateFloatLocalArray(dim);
        float[] next = context.allocateFloatLocalArray(dim);

        float excess = 0;
        for (int s = 0; s < mine.sums; s++) {
            excess += parts.get((head * mine.rooms + s) * (dim + 1) + dim);
        }
        for (int d = me; d < dim; d += threads) {
            float sum = 0;
            for (int s = 0; s < mine.sums; s++) {
                sum += parts.get((head * mine.rooms + s) * (dim + 1) + d);
            }
            float y = state.get(vectors + CgDecodeState.Y * dim + d);
            // sum p (d - zbar.y) is 0 but for rounding; about zbar it does no harm
            float zbar = state.get(vectors + CgDecodeState.ZBAR * dim + d);
            ay[d] = sum - excess * zbar + ridge * y;
            localMean[d] = zbar;
            localY[d] = y;
            localR[d] = state.get(vectors + CgDecodeState.R * dim + d);
        }
        context.localBarrier();
        float yAy = 0;
        float ry = 0;
        for (int d = 0; d < dim; d++) {
            yAy += localY[d] * ay[d];
            ry += localR[d] * localY[d];
        }
        float step = 0;
        float goesOn = 0; // where rounding has eaten the direction, what there is is kept
        if (yAy > 0) {
            step = mine.active * ry / yAy;
            goesOn = mine.active;
        }
        float rr = 0;
        for (int d = 0; d < dim; d++) {
            float r = localR[d] - step * ay[d];
            rr += r * r;
        }
        float bb = facts.get(mine.fact + CgDecodeState.BB);
        if (rr <= tolerance * tolerance * bb) {
            goesOn = 0;
        }
        for (int d = me; d < dim; d += threads) {
            left[d] = localR[d] - step * ay[d];
            next[d] = 0;
        }
        context.localBarrier();
        int rows = dim * (int) goesOn;
        for (int p = 0; p < rows; p++) {
            float part = left[p] / Math.max(factors.get(head * triangle + p * (p + 1) / 2 + p), ridge);
            for (int i = p + 1 + me; i < dim; i += threads) {
                left[i] -= factors.get(head * triangle + i * (i + 1) / 2 + p) * part;
            }
            context.localBarrier();
        }
        for (int back = 0; back < rows; back++) {
            int p = dim - 1 - back;
            float solved = left[p] / Math.max(factors.get(head * triangle + p * (p + 1) / 2 + p), ridge);
            for (int i = me; i < p; i += threads) {
                left[i] -= factors.get(head * triangle + p * (p + 1) / 2 + i) * solved;
            }
            if (me == 0) {
                next[p] = solved;
            }
            context.localBarrier();
        }
        float overlap = 0;
        for (int d = 0; d < dim; d++) {
            overlap += next[d] * ay[d];
        }
        float turn = goesOn > 0 ? overlap / yAy : 0f;
        float meanProduct = 0;
        float size = 0;
        for (int d = 0; d < dim; d++) {
            float y = next[d] - turn * localY[d];
            meanProduct += localMean[d] * y;
            size += y * y;
        }
        float usable = 0; // where the factors are none
        if (size < 1e30f) {
            usable = goesOn;
        }
        goesOn = usable;
        float plan = mine.plan(facts, pass);
        if (goesOn > 0) {
            plan = CgDecodeState.FINISH;
        }
        mine.read(facts, step, excess);
        context.globalBarrier();
        for (int d = me; d < dim; d += threads) {
            state.set(vectors + CgDecodeState.X * dim + d, state.get(vectors + CgDecodeState.X * dim + d) + step * localY[d]);
            state.set(vectors + CgDecodeState.R * dim + d, localR[d] - step * ay[d]);
            state.set(vectors + CgDecodeState.Y * dim + d, goesOn > 0 ? next[d] - turn * localY[d] : 0f);
        }
        if (me == 0) {
            mine.write(facts, pass, step, rr, bb, goesOn, plan, goesOn > 0 ? meanProduct : 0f);
        }
    }
}
