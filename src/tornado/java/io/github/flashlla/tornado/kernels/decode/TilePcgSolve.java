package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TilePcg.DIM;
import static io.github.flashlla.tornado.kernels.decode.TilePcg.HEADS;
import static io.github.flashlla.tornado.kernels.decode.TilePcg.MOMENTS;
import static io.github.flashlla.tornado.kernels.decode.TilePcg.MOST_SPLITS;
import static io.github.flashlla.tornado.kernels.decode.TilePcg.WIDTH;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Tile;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link TilePcg}'s solve: conjugate gradients from a first step along q, with M^-1 of the heads of a key/value head in common. */
public final class TilePcgSolve {
    /** Threads of {@link #begin}. */
    static final int THREADS = 256;
    /**
     * What is left of the residual by the first step along M^-1 r, as a part of how far M^-1 A q is from q: 0.7 on normal keys, give or take 0.1, where
     * the first step is along q.
     */
    private static final float LEFT = 0.7f;
    /** A later pass is taken for the last one where the residual expected after it is this part of the tolerance, or less. */
    private static final float SURE = 0.5f;

    private TilePcgSolve() {}

    /**
     * Merges the splits, inverts M, and takes the first step of every head. One work-group of {@value #THREADS} a unit.
     *
     * @param k the cache's keys
     * @param q (B,H,D)
     * @param ridges (B,H)
     * @param sums from {@link TilePcg#gather}, likewise the moments
     * @param state out (B*H,{@value CgDecodeState#VECTORS},D)
     * @param facts out (B*H,{@value CgDecodeState#FACTS})
     * @param inverses out (units,D,D): M^-1
     * @param sizes {@link DecodeSizes}, likewise the settings
     * @param hw heads of a unit
     * @param launched iterations that are launched for certain
     */
    public static void begin(KernelContext context, HalfFloatArray k, FloatArray q, FloatArray ridges, IntArray lengths, FloatArray sums,
            FloatArray moments, FloatArray state, FloatArray facts, FloatArray inverses, IntArray sizes, FloatArray settings, int hw, int launched) {
        Tile.launchBounds(THREADS, 1);
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        float scale = settings.get(DecodeSizes.SCALE);
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int me = context.localIdx;
        int unit = context.groupIdx;
        int mine = me / DIM;
        int d = me % DIM;
        int head = unit * hw + Math.min(mine, hw - 1); // threads beyond the heads compute the last one again, and write nothing
        int first = head * splits * WIDTH;
        int row = unit * hw / group * capacity;
        float some = Math.min(lengths.get(unit * hw / heads), 1); // 0 for an empty sequence: everything below is then 0
        float[] means = context.allocateFloatLocalArray(HEADS * MOST_SPLITS * DIM); // M^-1 later
        float[] parts = context.allocateFloatLocalArray(HEADS * MOST_SPLITS);
        float[] weights = context.allocateFloatLocalArray(HEADS * MOST_SPLITS);
        float[] whole = context.allocateFloatLocalArray(MOST_SPLITS);
        float[] kbar = context.allocateFloatLocalArray(HEADS * DIM);
        float[] zbar = context.allocateFloatLocalArray(HEADS * DIM);
        float[] query = context.allocateFloatLocalArray(HEADS * DIM);
        float[] right = context.allocateFloatLocalArray(HEADS * DIM);
        float[] product = context.allocateFloatLocalArray(HEADS * DIM);
        float[] shared = context.allocateFloatLocalArray(HEADS * DIM);
        float[] next = context.allocateFloatLocalArray(HEADS * DIM);
        float[] turned = context.allocateFloatLocalArray(HEADS * DIM);
        float[] pivots = context.allocateFloatLocalArray(2 * DIM);

        float top = Masking.LOW;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, sums.get(first + s * WIDTH + 2 * DIM));
        }
        float omega = 0;
        float sumT = 0;
        float sumZ = 0;
        float sumTz = 0;
        float c = 0;
        if (some > 0) {
            c = k.get(CacheLayout.index(row, d, DIM)).getFloat32();
        }
        for (int s = 0; s < splits; s++) {
            int at = first + s * WIDTH;
            float rise = top - sums.get(at + 2 * DIM);
            float factor = TornadoMath.exp(-rise);
            float weight = sums.get(at + 2 * DIM + 1);
            float z = sums.get(at + d);
            omega += factor * weight;
            sumT += factor * (sums.get(at + 2 * DIM + 2) - rise * weight);
            sumZ += factor * z;
            sumTz += factor * (sums.get(at + DIM + d) - rise * z);
            means[(mine * MOST_SPLITS + s) * DIM + d] = c + z / Math.max(weight, 1e-30f);
        }
        float perWeight = some / Math.max(omega, 1e-30f);
        float meanT = sumT * perWeight;
        float ridge = ridges.get(head);
        float meanRidge = 0;
        for (int h = 0; h < hw; h++) {
            meanRidge += ridges.get(unit * hw + h) / hw;
        }
        if (d < splits) {
            int at = first + d * WIDTH + 2 * DIM;
            parts[mine * MOST_SPLITS + d] = TornadoMath.exp(sums.get(at) - top) * sums.get(at + 1) * perWeight / hw;
            weights[mine * MOST_SPLITS + d] = sums.get(at + 3);
        }
        int local = mine * DIM + d;
        zbar[local] = sumZ * perWeight;
        kbar[local] = some * (c + sumZ * perWeight);
        query[local] = q.get(head * DIM + d);
        right[local] = some * ((c - query[local]) + zbar[local]);
        product[local] = (sumTz * perWeight - meanT * zbar[local]) / scale + ridge * query[local];
        shared[local] = c * query[local] * scale;
        context.localBarrier();
        if (me < splits) {
            float part = 0;
            float weight = 0;
            for (int h = 0; h < hw; h++) {
                part += parts[h * MOST_SPLITS + me];
                weight += weights[h * MOST_SPLITS + me];
            }
            whole[me] = part / Math.max(weight, 1e-30f);
        }
        context.localBarrier();

        // a thread has every 16th element of every 16th row of M in registers
        int tx = me & 15;
        int ty = me >> 4;
        float[] own = new float[16];
        float[] byRow = new float[4];
        float[] byColumn = new float[4];
        float[] rowKept = new float[4];
        float[] columnKept = new float[4];
        for (int r = 0; r < 4; r++) {
            for (int o = 0; o < 4; o++) {
                own[4 * r + o] = 0f;
            }
        }
        int upper = element(Math.max(ty, tx), Math.min(ty, tx));
        int plain = element(ty, tx);
        int across = element(tx, ty);
        for (int s = 0; s < splits; s++) {
            float part = whole[s];
            int at = (unit * splits + s) * MOMENTS;
            for (int r = 0; r < 4; r++) {
                for (int o = 0; o < 4; o++) {
                    int within = r == o ? upper : r < o ? plain : across;
                    own[4 * r + o] += part * moments.get(at + 256 * TilePcg.block(Math.min(r, o), Math.max(r, o)) + within);
                }
            }
            for (int h = 0; h < hw; h++) { // what the heads' means leave: nothing where weights are as moments have them
                float left = parts[h * MOST_SPLITS + s] - part * weights[h * MOST_SPLITS + s];
                int mean = (h * MOST_SPLITS + s) * DIM;
                for (int r = 0; r < 4; r++) {
                    byRow[r] = left * means[mean + ty + 16 * r];
                    byColumn[r] = means[mean + tx + 16 * r];
                }
                for (int r = 0; r < 4; r++) {
                    for (int o = 0; o < 4; o++) {
                        own[4 * r + o] += byRow[r] * byColumn[o];
                    }
                }
            }
        }
        for (int h = 0; h < hw; h++) {
            for (int r = 0; r < 4; r++) {
                byRow[r] = kbar[h * DIM + ty + 16 * r] / hw;
                byColumn[r] = kbar[h * DIM + tx + 16 * r];
            }
            for (int r = 0; r < 4; r++) {
                for (int o = 0; o < 4; o++) {
                    own[4 * r + o] -= byRow[r] * byColumn[o];
                }
            }
        }
        for (int r = 0; r < 4; r++) {
            own[5 * r] += tx == ty ? meanRidge : 0f;
        }
        // a step of the inversion takes row and column p of all others, and costs one barrier; -M^-1 is left
        int sixteen = 16 + (context.groupIdx >> 30); // a bound that no compiler knows: the loop stays one
        for (int block = 0; block < 4; block++) {
            for (int within = 0; within < sixteen; within++) {
                int p = 16 * block + within;
                int buffer = (within & 1) * DIM;
                if (tx == within) {
                    for (int r = 0; r < 4; r++) { // a choice and not own[4 * r + block], which would put the array in memory
                        float element = own[4 * r];
                        for (int o = 1; o < 4; o++) {
                            element = o == block ? own[4 * r + o] : element;
                        }
                        pivots[buffer + ty + 16 * r] = element;
                    }
                }
                context.localBarrier();
                float inverse = 1f / Math.max(pivots[buffer + p], meanRidge); // in exact arithmetic no pivot is below the ridge
                for (int r = 0; r < 4; r++) {
                    float inRow = pivots[buffer + ty + 16 * r];
                    float inColumn = pivots[buffer + tx + 16 * r];
                    byRow[r] = (ty + 16 * r == p ? -1f : inRow) * inverse;
                    byColumn[r] = tx + 16 * r == p ? -1f : inColumn;
                    rowKept[r] = ty + 16 * r == p ? 0f : 1f;
                    columnKept[r] = tx + 16 * r == p ? 0f : 1f;
                }
                for (int r = 0; r < 4; r++) {
                    for (int o = 0; o < 4; o++) {
                        own[4 * r + o] = own[4 * r + o] * (rowKept[r] * columnKept[o]) - byRow[r] * byColumn[o];
                    }
                }
            }
        }
        context.localBarrier(); // means are no longer needed
        for (int r = 0; r < 4; r++) {
            for (int o = 0; o < 4; o++) {
                means[(ty + 16 * r) * DIM + tx + 16 * o] = -own[4 * r + o];
            }
        }
        context.localBarrier();

        int from = mine * DIM;
        float qq = 0;
        float qAq = 0;
        float qb = 0;
        float bb = 0;
        float common = 0;
        for (int i = 0; i < DIM; i++) { // by every thread: shorter than the barriers of a tree
            qq += query[from + i] * query[from + i];
            qAq += query[from + i] * product[from + i];
            qb += query[from + i] * right[from + i];
            bb += right[from + i] * right[from + i];
            common += shared[from + i];
        }
        float step = 0;
        if (qAq > 0) {
            step = qb / qAq;
        }
        float solved = 0;
        float ofProduct = 0;
        float rr = 0;
        for (int i = 0; i < DIM; i++) {
            float r = right[from + i] - step * product[from + i];
            rr += r * r;
            solved += means[i * DIM + d] * r;
            ofProduct += means[i * DIM + d] * product[from + i];
        }
        next[local] = solved;
        turned[local] = ofProduct;
        context.localBarrier();
        float rMr = 0;
        float overlap = 0;
        float along = 0;
        float size = 0;
        for (int i = 0; i < DIM; i++) {
            rMr += next[from + i] * (right[from + i] - step * product[from + i]);
            overlap += next[from + i] * product[from + i];
            along += turned[from + i] * query[from + i];
            size += turned[from + i] * turned[from + i];
        }
        float active = 0;
        if (rr > tolerance * tolerance * bb) {
            active = 1;
        }
        float usable = 0; // what overflowed is not: then conjugate gradients go without
        if (rMr > 0 && rMr < 1e30f) {
            usable = 1;
        }
        context.localBarrier(); // all have read shared
        shared[local] = active > 0 ? usable : 1f;
        context.localBarrier();
        float all = 1;
        for (int h = 0; h < hw; h++) {
            all = Math.min(all, shared[h * DIM]);
        }
        float rAq = 0;
        for (int i = 0; i < DIM; i++) {
            rAq += (right[from + i] - step * product[from + i]) * product[from + i];
        }
        float alongQ = 0;
        if (qAq > 0) {
            alongQ = (all > 0 ? overlap : rAq) / qAq;
        }
        float far = 1;
        if (all > 0) { // how far M^-1 A q is from q, apart from its length
            far = LEFT * LEFT * Math.max(1f - along * along / Math.max(qq * size, 1e-30f), 0f);
        }
        float plan = CgDecodeState.FINISH;
        if (active > 0 && launched > 1 && rr * far > tolerance * tolerance * bb) {
            plan = CgDecodeState.MULTIPLY;
        }
        float meanProduct = 0;
        for (int i = 0; i < DIM; i++) {
            float direction = all > 0 ? next[from + i] : right[from + i] - step * product[from + i];
            meanProduct += zbar[from + i] * (direction - alongQ * query[from + i]);
        }
        float r = right[local] - step * product[local];
        float direction = all > 0 ? next[local] : r;
        if (mine < hw) {
            int vectors = head * CgDecodeState.VECTORS * DIM + d;
            state.set(vectors + CgDecodeState.KBAR * DIM, kbar[local]);
            state.set(vectors + CgDecodeState.ZBAR * DIM, zbar[local]);
            state.set(vectors + CgDecodeState.AQ * DIM, product[local]);
            state.set(vectors + CgDecodeState.X * DIM, step * query[local]);
            state.set(vectors + CgDecodeState.R * DIM, r);
            state.set(vectors + CgDecodeState.Y * DIM, active > 0 ? direction - alongQ * query[local] : 0f);
            if (d == 0) {
                int fact = head * CgDecodeState.FACTS;
                facts.set(fact + CgDecodeState.TOP, top);
                facts.set(fact + CgDecodeState.PER_WEIGHT, perWeight);
                facts.set(fact + CgDecodeState.MEAN, step / scale * meanT);
                facts.set(fact + CgDecodeState.LSE, top + common + TornadoMath.log(Math.max(omega, 1e-30f)));
                facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
                facts.set(fact + CgDecodeState.ITERATIONS, 0);
                facts.set(fact + CgDecodeState.RR, rr);
                facts.set(fact + CgDecodeState.BB, bb);
                facts.set(fact + CgDecodeState.QAQ, qAq);
                facts.set(fact + CgDecodeState.FIRST_STEP, step / scale);
                facts.set(fact + CgDecodeState.STEP, 0);
                facts.set(fact + CgDecodeState.PASSES, 0);
                facts.set(fact + CgDecodeState.ACTIVE, active);
                facts.set(fact + CgDecodeState.ACTIVE + 1, 0);
                facts.set(fact + CgDecodeState.PLAN, plan);
                facts.set(fact + CgDecodeState.PLAN + 1, 0);
                facts.set(fact + CgDecodeState.FINISHING_STEP, 0);
                facts.set(fact + CgDecodeState.FINISHING_SPLITS, 0);
                facts.set(fact + CgDecodeState.MEAN_PRODUCT, active > 0 ? meanProduct : 0f);
            }
        }
        for (int n = me; n < DIM * DIM; n += THREADS) {
            float none = n / DIM == n % DIM ? 1f : 0f;
            inverses.set(unit * (DIM * DIM) + n, all > 0 ? means[n] : none);
        }
    }

    /** Where {@link TilePcg#gather} writes the element of a row and a column of a block of 16 x 16. */
    private static int element(int row, int column) {
        return (column >> 3) * 128 + ((row & 7) * 4 + ((column & 7) >> 1)) * 4 + (row >> 3) * 2 + (column & 1);
    }

    /**
     * A step of the solve, and the next direction: what M^-1 makes of the residual, conjugate to the last one and to q. One work-group a head.
     *
     * @param parts from {@link TileDecodePass}
     * @param hw heads of a unit
     * @param pass its number
     * @param launched number of the pass, plus 1, up to which iterations are launched for certain
     */
    public static void advance(KernelContext context, FloatArray q, FloatArray ridges, FloatArray parts, FloatArray inverses, FloatArray state,
            FloatArray facts, IntArray sizes, FloatArray settings, int hw, int pass, int launched) {
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int finishing = DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS);
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int d = context.localIdx;
        int head = context.groupIdx;
        int fact = head * CgDecodeState.FACTS;
        int vectors = head * CgDecodeState.VECTORS * DIM + d;
        float passed = CgDecodeState.unitActive(facts, head / hw, hw, pass);
        float active = facts.get(fact + CgDecodeState.ACTIVE + pass % 2);
        int unitsPlan = CgDecodeState.unitPlan(facts, head / hw, hw, pass);
        int summed = unitsPlan == CgDecodeState.FINISH ? finishing : splits;
        int rooms = Math.max(finishing, splits); // units that multiply and units that finish share the parts of a pass
        float ridge = ridges.get(head);
        float[] ay = context.allocateFloatLocalArray(DIM);
        float[] localR = context.allocateFloatLocalArray(DIM);
        float[] localY = context.allocateFloatLocalArray(DIM);
        float[] localAq = context.allocateFloatLocalArray(DIM);
        float[] localQ = context.allocateFloatLocalArray(DIM);
        float[] localMean = context.allocateFloatLocalArray(DIM);
        float[] next = context.allocateFloatLocalArray(DIM);

        float excess = 0;
        float sum = 0;
        int sums = summed * (int) active;
        for (int s = 0; s < sums; s++) {
            excess += parts.get((head * rooms + s) * (DIM + 1) + DIM);
            sum += parts.get((head * rooms + s) * (DIM + 1) + d);
        }
        float oldY = state.get(vectors + CgDecodeState.Y * DIM);
        // sum p (d - zbar.y) is 0 but for rounding; about zbar it does no harm
        float zbar = state.get(vectors + CgDecodeState.ZBAR * DIM);
        ay[d] = sum - excess * zbar + ridge * oldY;
        localMean[d] = zbar;
        localQ[d] = q.get(head * DIM + d);
        localY[d] = oldY;
        localR[d] = state.get(vectors + CgDecodeState.R * DIM);
        localAq[d] = state.get(vectors + CgDecodeState.AQ * DIM);
        context.localBarrier();
        float yAy = 0;
        float ry = 0;
        for (int i = 0; i < DIM; i++) {
            yAy += localY[i] * ay[i];
            ry += localR[i] * localY[i];
        }
        float step = 0;
        float goesOn = 0; // where rounding has eaten the direction, what there is is kept
        if (yAy > 0) {
            step = active * ry / yAy;
            goesOn = active;
        }
        float rr = 0;
        float solved = 0;
        int inverse = head / hw * (DIM * DIM) + d;
        for (int i = 0; i < DIM; i++) {
            float r = localR[i] - step * ay[i];
            rr += r * r;
            solved += inverses.get(inverse + i * DIM) * r;
        }
        next[d] = solved;
        float bb = facts.get(fact + CgDecodeState.BB);
        float oldRr = facts.get(fact + CgDecodeState.RR);
        float qAq = facts.get(fact + CgDecodeState.QAQ);
        if (rr <= tolerance * tolerance * bb) {
            goesOn = 0;
        }
        context.localBarrier();
        float overlap = 0;
        float overlapQ = 0;
        for (int i = 0; i < DIM; i++) {
            overlap += next[i] * ay[i];
            overlapQ += next[i] * localAq[i];
        }
        float turn = 0;
        float alongQ = 0;
        if (goesOn > 0) {
            turn = -overlap / yAy;
        }
        if (qAq > 0) {
            alongQ = overlapQ / qAq;
        }
        float plan = facts.get(fact + CgDecodeState.PLAN + pass % 2); // of a head that waits for others
        if (active > 0) {
            plan = CgDecodeState.FINISH;
        }
        if (unitsPlan == CgDecodeState.FINISH) {
            plan = 0;
        }
        if (goesOn > 0) {
            plan = CgDecodeState.FINISH;
            if (pass + 2 < launched && rr * rr > SURE * SURE * tolerance * tolerance * bb * oldRr) {
                plan = CgDecodeState.MULTIPLY;
            }
        }
        float meanProduct = 0;
        for (int i = 0; i < DIM; i++) {
            meanProduct += localMean[i] * (next[i] + turn * localY[i] - alongQ * localQ[i]);
        }
        float mean = facts.get(fact + CgDecodeState.MEAN) + step * (facts.get(fact + CgDecodeState.MEAN_PRODUCT) + excess);
        float passes = facts.get(fact + CgDecodeState.PASSES);
        float iterations = facts.get(fact + CgDecodeState.ITERATIONS);
        context.globalBarrier();
        state.set(vectors + CgDecodeState.X * DIM, state.get(vectors + CgDecodeState.X * DIM) + step * oldY);
        state.set(vectors + CgDecodeState.R * DIM, localR[d] - step * ay[d]);
        state.set(vectors + CgDecodeState.Y * DIM, goesOn > 0 ? solved + turn * oldY - alongQ * localQ[d] : 0f);
        if (d == 0) {
            facts.set(fact + CgDecodeState.MEAN, mean);
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, goesOn > 0 ? meanProduct : 0f);
            facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
            facts.set(fact + CgDecodeState.ITERATIONS, iterations + active);
            facts.set(fact + CgDecodeState.RR, rr);
            facts.set(fact + CgDecodeState.PASSES, passes + passed);
            facts.set(fact + CgDecodeState.ACTIVE + (pass + 1) % 2, goesOn);
            facts.set(fact + CgDecodeState.PLAN + (pass + 1) % 2, plan);
            if (unitsPlan == CgDecodeState.FINISH) {
                facts.set(fact + CgDecodeState.FINISHING_STEP, step);
                facts.set(fact + CgDecodeState.FINISHING_SPLITS, finishing);
            }
            if (passed > 0) {
                facts.set(fact + CgDecodeState.STEP, step);
            }
        }
    }
}
