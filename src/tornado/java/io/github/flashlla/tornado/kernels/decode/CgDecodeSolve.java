package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.CgDecode.DIMS;
import static io.github.flashlla.tornado.kernels.decode.CgDecode.HEADS;
import static io.github.flashlla.tornado.kernels.decode.CgDecode.KEYS;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link CgDecode}'s solve: the first step, along q, and the iterations, each a product with A in splits and a step of each head. */
public final class CgDecodeSolve {

    /** A pass is taken for the last one where the residual expected after it is this part of the tolerance, or less. */
    private static final float SURE = 0.5f;
    /**
     * The relative residual after the first pass, over the square of the one before it: 0.52 to 0.69, give or take a seventh, on normal keys with ridges from 4
     * to 0.1 and keys of uneven variance (simulated). As the first step is along q, the one before shows how far A is from a multiple of I.
     */
    static final float SQUARED = 0.6f;

    private CgDecodeSolve() {}

    /**
     * Merges the splits, and takes the solve's first step. One work-group a head.
     *
     * @param q (B,H,D)
     * @param ridges (B,H)
     * @param state out (B*H,{@value CgDecodeState#VECTORS},D)
     * @param facts out (B*H,{@value CgDecodeState#FACTS})
     * @param sizes {@link DecodeSizes}, likewise the settings
     */
    public static void begin(KernelContext context, FloatArray k32, HalfFloatArray k16, FloatArray q, FloatArray ridges,
            IntArray lengths, FloatArray sums, FloatArray state, FloatArray facts, IntArray sizes, FloatArray settings, int binary16,
            int dim, int launched) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int heads = DecodeSizes.divisor(sizes, DecodeSizes.HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        float scale = settings.get(DecodeSizes.SCALE);
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int head = context.groupIdx;
        int lanes = dim / DIMS;
        int width = 2 * dim + 3;
        int row = head / group * capacity;
        float ridge = ridges.get(head);
        float[] query = context.allocateFloatLocalArray(dim);
        float[] right = context.allocateFloatLocalArray(dim);
        float[] product = context.allocateFloatLocalArray(dim);
        float[] shared = context.allocateFloatLocalArray(dim);
        float[] mean = context.allocateFloatLocalArray(dim);

        float top = Masking.LOW;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, sums.get((head * splits + s) * width + 2 * dim));
        }
        float omega = 0;
        float sumT = 0;
        for (int s = 0; s < splits; s++) {
            int at = (head * splits + s) * width + 2 * dim;
            float rise = top - sums.get(at);
            float factor = TornadoMath.exp(-rise);
            omega += factor * sums.get(at + 1);
            sumT += factor * (sums.get(at + 2) - rise * sums.get(at + 1));
        }
        float some = Math.min(lengths.get(head / heads), 1); // 0 for an empty sequence: everything below is then 0
        float perWeight = some / Math.max(omega, 1e-30f);
        float meanT = sumT * perWeight;
        for (int d = me; d < dim; d += threads) {
            float sumZ = 0;
            float sumTz = 0;
            for (int s = 0; s < splits; s++) {
                int at = (head * splits + s) * width;
                float rise = top - sums.get(at + 2 * dim);
                float factor = TornadoMath.exp(-rise);
                sumZ += factor * sums.get(at + d);
                sumTz += factor * (sums.get(at + dim + d) - rise * sums.get(at + d));
            }
            float zbar = sumZ * perWeight;
            float c = CacheLayout.element(k32, k16, binary16, CacheLayout.index(row, d, dim));
            float value = q.get(head * dim + d);
            query[d] = value;
            right[d] = some * ((c - value) + zbar);
            product[d] = (sumTz * perWeight - meanT * zbar) / scale + ridge * value;
            shared[d] = c * value * scale;
            mean[d] = zbar;
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.KBAR) * dim + d, some * (c + zbar));
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.ZBAR) * dim + d, zbar);
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.AQ) * dim + d, product[d]);
        }
        context.localBarrier();
        float qAq = 0;
        float qb = 0;
        float bb = 0;
        float common = 0;
        for (int d = 0; d < dim; d++) { // by every thread: shorter than the barriers of a tree
            qAq += query[d] * product[d];
            qb += query[d] * right[d];
            bb += right[d] * right[d];
            common += shared[d];
        }
        float step = 0;
        if (qAq > 0) {
            step = qb / qAq;
        }
        float rr = 0;
        float rAq = 0;
        for (int d = 0; d < dim; d++) {
            float r = right[d] - step * product[d];
            rr += r * r;
            rAq += r * product[d];
        }
        float alongQ = 0;
        if (qAq > 0) {
            alongQ = rAq / qAq;
        }
        float active = 0;
        if (rr > tolerance * tolerance * bb) {
            active = 1;
        }
        float plan = CgDecodeState.FINISH;
        if (active > 0 && launched > 1 && SQUARED * rr > tolerance * bb) {
            plan = CgDecodeState.MULTIPLY;
        }
        float meanProduct = 0;
        for (int d = 0; d < dim; d++) {
            meanProduct += mean[d] * (right[d] - step * product[d] - alongQ * query[d]);
        }
        for (int d = me; d < dim; d += threads) {
            float r = right[d] - step * product[d];
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.X) * dim + d, step * query[d]);
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.R) * dim + d, r);
            state.set((head * CgDecodeState.VECTORS + CgDecodeState.Y) * dim + d, active * (r - alongQ * query[d]));
        }
        if (me == 0) {
            int fact = head * CgDecodeState.FACTS;
            facts.set(fact + CgDecodeState.TOP, top);
            facts.set(fact + CgDecodeState.PER_WEIGHT, perWeight);
            facts.set(fact + CgDecodeState.MEAN, step / scale * meanT);
            facts.set(fact + CgDecodeState.LSE, top + common + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
            facts.set(fact + CgDecodeState.RR, rr);
            facts.set(fact + CgDecodeState.BB, bb);
            facts.set(fact + CgDecodeState.QAQ, qAq);
            facts.set(fact + CgDecodeState.FIRST_STEP, step / scale);
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, active * meanProduct);
            CgDecodeState.start(facts, fact, active, plan);
        }
    }

    /**
     * A y of every head and split but for the ridge.
     *
     * @param products d = z.y, read from the last pass and written for the next
     * @param slopes what earlier passes' steps come to for every key: sum of step d, up to the last but one
     * @param parts out (B*H,splits,D+1): sum p (d - zbar.y) z, and without the z
     * @param pass 0 and on
     */
    public static void multiply(KernelContext context, FloatArray k32, HalfFloatArray k16, IntArray lengths, FloatArray scores,
            FloatArray products, FloatArray slopes, FloatArray state, FloatArray facts, FloatArray parts, IntArray sizes, int binary16, int dim,
            int hw, int threads, int pass) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int tiles = sizes.get(DecodeSizes.TILES);
        int lanes = dim / DIMS;
        int blockKeys = 32 / lanes;
        int keyLanes = threads / lanes;
        int tile = keyLanes * KEYS;
        int pairs = KEYS * hw;
        int owners = Math.min(lanes, pairs);
        int rounds = pairs / owners;
        int me = context.localIdx;
        int lane = me % lanes;
        int keyLane = me / lanes;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int active = (int) CgDecodeState.unitActive(facts, unit, hw, pass);
        int length = lengths.get(kvUnit / kvHeads) * active;
        int perSplit = CgDecodeState.keysPerSplit(length, splits, tile);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int base = kvUnit * capacity;

        float[] part = context.allocateFloatLocalArray(hw * DIMS * threads);
        float[] localW = context.allocateFloatLocalArray(keyLanes * (pairs + 1));
        float[] mean = context.allocateFloatLocalArray(hw);
        float[] y = new float[HEADS * DIMS];
        float[] sumZ = new float[HEADS * DIMS];
        float[] z = new float[KEYS * DIMS];
        float[] c = new float[DIMS];
        float[] excess = new float[HEADS];
        for (int i = 0; i < DIMS; i++) {
            c[i] = CacheLayout.element(k32, k16, binary16, (base / blockKeys * DIMS + i) * 32 + lane);
        }
        for (int h = 0; h < hw; h++) {
            excess[h] = 0;
            for (int i = 0; i < DIMS; i++) {
                y[h * DIMS + i] = state.get(((unit * hw + h) * CgDecodeState.VECTORS + CgDecodeState.Y) * dim + i * lanes + lane);
                sumZ[h * DIMS + i] = 0;
            }
        }
        for (int h = me; h < hw; h += threads) {
            mean[h] = facts.get((unit * hw + h) * CgDecodeState.FACTS + CgDecodeState.MEAN_PRODUCT);
        }
        context.localBarrier();
        for (int token = from; token < to; token += tile) {
            for (int u = 0; u < KEYS; u++) {
                int row = base + Math.min(token + u * keyLanes + keyLane, to - 1);
                int at = row / blockKeys * (DIMS * 32) + row % blockKeys * lanes + lane;
                for (int i = 0; i < DIMS; i++) {
                    z[u * DIMS + i] = CacheLayout.element(k32, k16, binary16, at + i * 32) - c[i];
                }
            }
            for (int u = 0; u < KEYS; u++) {
                for (int h = 0; h < hw; h++) {
                    float dot = 0;
                    for (int i = 0; i < DIMS; i++) {
                        dot += z[u * DIMS + i] * y[h * DIMS + i];
                    }
                    part[(u * hw + h) * threads + me] = dot;
                }
            }
            context.localBarrier();
            if (lane < owners) {
                for (int r = 0; r < rounds; r++) {
                    int pair = r * owners + lane;
                    int fact = (unit * hw + pair % hw) * CgDecodeState.FACTS;
                    int at = ((unit * tiles + token / tile) * rounds + r) * (keyLanes * owners) + keyLane * owners + lane;
                    float sum = 0;
                    for (int l = 0; l < lanes; l++) {
                        sum += part[pair * threads + keyLane * lanes + (l + lane) % lanes];
                    }
                    if (pass == 1) {
                        slopes.set(at, facts.get(fact + CgDecodeState.STEP) * products.get(at));
                    }
                    if (pass > 1) {
                        slopes.set(at, slopes.get(at) + facts.get(fact + CgDecodeState.STEP) * products.get(at));
                    }
                    products.set(at, sum);
                    float p = TornadoMath.exp(scores.get(at) - facts.get(fact + CgDecodeState.TOP)) * facts.get(fact + CgDecodeState.PER_WEIGHT);
                    localW[keyLane * (pairs + 1) + pair] = p * (sum - mean[pair % hw]);
                }
            }
            context.localBarrier();
            for (int u = 0; u < KEYS; u++) {
                for (int h = 0; h < hw; h++) {
                    float coefficient = localW[keyLane * (pairs + 1) + u * hw + h];
                    excess[h] += coefficient;
                    for (int i = 0; i < DIMS; i++) {
                        sumZ[h * DIMS + i] += coefficient * z[u * DIMS + i];
                    }
                }
            }
        }
        int out = (unit * hw * splits + split) * (dim + 1);
        context.localBarrier();
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < DIMS; i++) {
                part[(h * DIMS + i) * threads + me] = sumZ[h * DIMS + i];
            }
            localW[keyLane * (pairs + 1) + h] = excess[h]; // the same from all threads of a key
        }
        context.localBarrier();
        for (int n = me; n < hw * active * dim; n += threads) {
            int d = n % dim;
            float sum = 0;
            for (int j = 0; j < keyLanes; j++) {
                sum += part[(n / dim * DIMS + d / lanes) * threads + j * lanes + d % lanes];
            }
            parts.set(out + n / dim * splits * (dim + 1) + d, sum);
        }
        for (int h = me; h < hw * active; h += threads) {
            float sum = 0;
            for (int j = 0; j < keyLanes; j++) {
                sum += localW[j * (pairs + 1) + h];
            }
            parts.set(out + h * splits * (dim + 1) + dim, sum);
        }
    }

    /** A step of the solve, and the next direction, conjugate to the last and to q. One work-group a head. */
    public static void advance(KernelContext context, FloatArray q, FloatArray ridges, FloatArray parts, FloatArray state,
            FloatArray facts, IntArray sizes, FloatArray settings, int dim, int hw, int pass, int launched) {
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int finishing = DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS);
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int head = context.groupIdx;
        int fact = head * CgDecodeState.FACTS;
        int vectors = head * CgDecodeState.VECTORS * dim;
        float passed = CgDecodeState.unitActive(facts, head / hw, hw, pass);
        float active = facts.get(fact + CgDecodeState.ACTIVE + pass % 2);
        int unitsPlan = CgDecodeState.unitPlan(facts, head / hw, hw, pass);
        int summed = unitsPlan == CgDecodeState.FINISH ? finishing : splits;
        int rooms = Math.max(finishing, splits); // units that multiply and units that finish share the parts of a pass
        float ridge = ridges.get(head);
        float[] ay = context.allocateFloatLocalArray(dim);
        float[] localR = context.allocateFloatLocalArray(dim);
        float[] localY = context.allocateFloatLocalArray(dim);
        float[] localAq = context.allocateFloatLocalArray(dim);
        float[] localQ = context.allocateFloatLocalArray(dim);
        float[] localMean = context.allocateFloatLocalArray(dim);

        float excess = 0;
        for (int s = 0; s < summed * (int) active; s++) {
            excess += parts.get((head * rooms + s) * (dim + 1) + dim);
        }
        for (int d = me; d < dim; d += threads) {
            float sum = 0;
            for (int s = 0; s < summed * (int) active; s++) {
                sum += parts.get((head * rooms + s) * (dim + 1) + d);
            }
            float y = state.get(vectors + CgDecodeState.Y * dim + d);
            // sum p (d - zbar.y) is 0 but for rounding; about zbar it does no harm
            float zbar = state.get(vectors + CgDecodeState.ZBAR * dim + d);
            ay[d] = sum - excess * zbar + ridge * y;
            localMean[d] = zbar;
            localQ[d] = q.get(head * dim + d);
            localY[d] = y;
            localR[d] = state.get(vectors + CgDecodeState.R * dim + d);
            localAq[d] = state.get(vectors + CgDecodeState.AQ * dim + d);
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
            step = active * ry / yAy;
            goesOn = active;
        }
        float rr = 0;
        float rAq = 0;
        for (int d = 0; d < dim; d++) {
            float r = localR[d] - step * ay[d];
            rr += r * r;
            rAq += r * localAq[d];
        }
        float bb = facts.get(fact + CgDecodeState.BB);
        float oldRr = facts.get(fact + CgDecodeState.RR);
        float alongQ = 0;
        if (facts.get(fact + CgDecodeState.QAQ) > 0) {
            alongQ = rAq / facts.get(fact + CgDecodeState.QAQ);
        }
        if (rr <= tolerance * tolerance * bb) {
            goesOn = 0;
        }
        float turn = rr / Math.max(oldRr, 1e-30f);
        float plan = facts.get(fact + CgDecodeState.PLAN + pass % 2); // of a head that waits for others
        if (active > 0) {
            plan = CgDecodeState.FINISH;
        }
        if (unitsPlan == CgDecodeState.FINISH) {
            plan = 0;
        }
        if (goesOn > 0) {
            plan = CgDecodeState.FINISH;
            if (pass + 2 < launched && rr * turn > SURE * SURE * tolerance * tolerance * bb) {
                plan = CgDecodeState.MULTIPLY;
            }
        }
        float meanProduct = 0;
        for (int d = 0; d < dim; d++) {
            meanProduct += localMean[d] * (localR[d] - step * ay[d] + turn * localY[d] - alongQ * localQ[d]);
        }
        float mean = facts.get(fact + CgDecodeState.MEAN) + step * (facts.get(fact + CgDecodeState.MEAN_PRODUCT) + excess);
        float passes = facts.get(fact + CgDecodeState.PASSES);
        float iterations = facts.get(fact + CgDecodeState.ITERATIONS);
        context.globalBarrier();
        for (int d = me; d < dim; d += threads) {
            float r = localR[d] - step * ay[d];
            state.set(vectors + CgDecodeState.X * dim + d, state.get(vectors + CgDecodeState.X * dim + d) + step * localY[d]);
            state.set(vectors + CgDecodeState.R * dim + d, r);
            state.set(vectors + CgDecodeState.Y * dim + d, goesOn * (r + turn * localY[d] - alongQ * localQ[d]));
        }
        if (me == 0) {
            facts.set(fact + CgDecodeState.MEAN, mean);
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, goesOn * meanProduct);
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
