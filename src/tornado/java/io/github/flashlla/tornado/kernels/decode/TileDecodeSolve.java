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
 * What {@link CgDecodeSolve} does between passes, by the group that is the last to end of those that read a unit's splits: no kernel has to
 * start for it, and other units are read meanwhile. A warp takes a head, a lane its dims lane, lane + 32 and on.
 *
 * <p>The first direction is q times the scale, and not q: A of it is what {@link TileDecode#gather} sums.
 */
final class TileDecodeSolve {
    /** Of the squared residual that is allowed: heads that have less rest, for there is nothing left that float32 would hold. */
    private static final float NOTHING = 1e-6f;

    private TileDecodeSolve() {}

    /** Whether all other groups of a unit have written what they write; the same for all threads. Barriers. */
    static int last(KernelContext ctx, IntArray arrived, int unit, int groups) {
        ctx.localBarrier();
        int before = -1;
        if (ctx.localIdx == 0) {
            before = Tile.arrive(arrived, unit);
        }
        int last = Tile.count(before == groups - 1 ? 1 : 0);
        if (last != 0) {
            if (ctx.localIdx == 0) {
                arrived.set(unit, 0); // for the next kernel
            }
        }
        return last;
    }

    /**
     * The first step of a head.
     *
     * @param sums (B*H,splits,2 D + 3), as {@link TileDecode#gather} writes them
     * @param head of B*H
     * @param sequence the cache's row of its first key
     * @param some 0 for an empty sequence, whose numbers all are 0 then; else 1
     * @param iterations passes that there are at most
     */
    static void begin(HalfFloatArray k, FloatArray scaledQ, FloatArray ridges, FloatArray settings, FloatArray sums, FloatArray state,
            FloatArray facts, int head, int sequence, float some, int splits, int dim, int iterations, int lane) {
        int width = 2 * dim + 3;
        int first = head * splits * width;
        int vectors = head * CgDecodeState.VECTORS * dim + lane;
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        float ridge = ridges.get(head);
        float[] query = new float[dim / 32];
        float[] r = new float[dim / 32];
        float[] product = new float[dim / 32];
        float[] mean = new float[dim / 32];
        for (int i = 0; i < dim / 32; i++) {
            r[i] = 0f;
            product[i] = 0f;
        }
        float top = Masking.LOW;
        for (int s = 0; s < splits; s++) {
            top = Math.max(top, sums.get(first + s * width + 2 * dim));
        }
        float omega = 0f;
        float sumT = 0f;
        for (int s = 0; s < splits; s++) {
            int at = first + s * width;
            float rise = top - sums.get(at + 2 * dim);
            float factor = TornadoMath.exp(-rise);
            float weight = sums.get(at + 2 * dim + 1);
            omega += factor * weight;
            sumT += factor * (sums.get(at + 2 * dim + 2) - rise * weight);
            for (int i = 0; i < dim / 32; i++) {
                float z = sums.get(at + lane + 32 * i);
                r[i] += factor * z;
                product[i] += factor * (sums.get(at + dim + lane + 32 * i) - rise * z);
            }
        }
        float perWeight = some / Math.max(omega, 1e-30f);
        float meanT = sumT * perWeight;
        float qAq = 0f;
        float qb = 0f;
        float bb = 0f;
        float common = 0f;
        for (int i = 0; i < dim / 32; i++) {
            float c = k.get(CacheLayout.index(sequence, lane + 32 * i, dim)).getFloat32();
            query[i] = scaledQ.get(head * dim + lane + 32 * i);
            mean[i] = r[i] * perWeight;
            product[i] = product[i] * perWeight - meanT * mean[i] + ridge * query[i];
            state.set(vectors + CgDecodeState.KBAR * dim + 32 * i, some * (c + mean[i]));
            state.set(vectors + CgDecodeState.ZBAR * dim + 32 * i, mean[i]);
            state.set(vectors + CgDecodeState.AQ * dim + 32 * i, product[i]);
            common += c * query[i];
            r[i] = c + mean[i];
        }
        float scale = settings.get(DecodeSizes.SCALE);
        for (int i = 0; i < dim / 32; i++) {
            r[i] = some * (r[i] - query[i] / scale);
            qAq += query[i] * product[i];
            qb += query[i] * r[i];
            bb += r[i] * r[i];
        }
        qAq = sum(qAq);
        qb = sum(qb);
        bb = sum(bb);
        common = sum(common);
        float step = qAq > 0f ? qb / qAq : 0f;
        float rr = 0f;
        float rAq = 0f;
        for (int i = 0; i < dim / 32; i++) {
            r[i] -= step * product[i];
            rr += r[i] * r[i];
            rAq += r[i] * product[i];
        }
        rr = sum(rr);
        rAq = sum(rAq);
        float alongQ = qAq > 0f ? rAq / qAq : 0f;
        float target = tolerance * tolerance * bb;
        float active = rr > target ? 1f : 0f;
        float plan = CgDecodeState.FINISH;
        if (active > 0f && iterations > 1 && CgDecodeSolve.SQUARED * rr > tolerance * bb) {
            plan = CgDecodeState.MULTIPLY;
        }
        float moves = rr > NOTHING * target ? 1f : 0f;
        float meanProduct = 0f;
        for (int i = 0; i < dim / 32; i++) {
            float y = moves * (r[i] - alongQ * query[i]);
            meanProduct += mean[i] * y;
            state.set(vectors + CgDecodeState.X * dim + 32 * i, step * query[i]);
            state.set(vectors + CgDecodeState.R * dim + 32 * i, r[i]);
            state.set(vectors + CgDecodeState.Y * dim + 32 * i, y);
        }
        meanProduct = sum(meanProduct);
        if (lane == 0) {
            int fact = head * CgDecodeState.FACTS;
            facts.set(fact + CgDecodeState.TOP, top);
            facts.set(fact + CgDecodeState.PER_WEIGHT, perWeight);
            facts.set(fact + CgDecodeState.MEAN, step * meanT);
            facts.set(fact + CgDecodeState.LSE, top + common + TornadoMath.log(Math.max(omega, 1e-30f)));
            facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
            facts.set(fact + CgDecodeState.RR, rr);
            facts.set(fact + CgDecodeState.BB, bb);
            facts.set(fact + CgDecodeState.QAQ, qAq);
            facts.set(fact + CgDecodeState.FIRST_STEP, step);
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, meanProduct);
            CgDecodeState.start(facts, fact, active, plan);
            facts.set(fact + CgDecodeState.RIDGE, ridge);
            facts.set(fact + CgDecodeState.TARGET, target);
        }
    }

    /**
     * A step of a head, the next direction, conjugate to the last and to q, and, where the pass had values, the output.
     *
     * @param parts (B*H,splits,D+1), as {@link TileDecodePass#run} writes them
     * @param outputs (B*H,rooms,2 D), likewise
     * @param o out (B*H,D)
     * @param plan of the head's unit
     * @param iterations passes that there are at most
     */
    static void advance(FloatArray scaledQ, FloatArray parts, FloatArray outputs, FloatArray state, FloatArray facts, FloatArray o, int head,
            int plan, int splits, int rooms, int dim, int pass, int iterations, int lane) {
        int fact = head * CgDecodeState.FACTS;
        int vectors = head * CgDecodeState.VECTORS * dim + lane;
        int first = head * splits * (dim + 1);
        float ridge = facts.get(fact + CgDecodeState.RIDGE);
        float target = facts.get(fact + CgDecodeState.TARGET);
        float qAq = facts.get(fact + CgDecodeState.QAQ);
        float oldRr = facts.get(fact + CgDecodeState.RR);
        float passes = facts.get(fact + CgDecodeState.PASSES);
        float oldMean = facts.get(fact + CgDecodeState.MEAN);
        float oldProduct = facts.get(fact + CgDecodeState.MEAN_PRODUCT);
        float[] ay = new float[dim / 32];
        float[] y = new float[dim / 32];
        float[] r = new float[dim / 32];
        for (int i = 0; i < dim / 32; i++) {
            ay[i] = 0f;
        }
        float excess = 0f;
        for (int s = 0; s < splits; s++) {
            int at = first + s * (dim + 1);
            excess += parts.get(at + dim);
            for (int i = 0; i < dim / 32; i++) {
                ay[i] += parts.get(at + lane + 32 * i);
            }
        }
        float yAy = 0f;
        float ry = 0f;
        for (int i = 0; i < dim / 32; i++) {
            y[i] = state.get(vectors + CgDecodeState.Y * dim + 32 * i);
            r[i] = state.get(vectors + CgDecodeState.R * dim + 32 * i);
            // sum p (d - zbar.y) is 0 but for rounding; about zbar it does no harm
            ay[i] += ridge * y[i] - excess * state.get(vectors + CgDecodeState.ZBAR * dim + 32 * i);
            yAy += y[i] * ay[i];
            ry += r[i] * y[i];
        }
        yAy = sum(yAy);
        ry = sum(ry);
        float steps = yAy > 0f ? 1f : 0f; // where rounding has eaten the direction, what there is is kept
        float step = yAy > 0f ? ry / yAy : 0f;
        float rr = 0f;
        float rAq = 0f;
        for (int i = 0; i < dim / 32; i++) {
            r[i] -= step * ay[i];
            rr += r[i] * r[i];
            rAq += r[i] * state.get(vectors + CgDecodeState.AQ * dim + 32 * i);
        }
        rr = sum(rr);
        rAq = sum(rAq);
        float alongQ = qAq > 0f ? rAq / qAq : 0f;
        float turn = rr / Math.max(oldRr, 1e-30f);
        float goesOn = rr > target ? steps : 0f;
        float next = plan == CgDecodeState.MULTIPLY ? CgDecodeState.FINISH : 0f;
        if (goesOn > 0f) {
            next = CgDecodeState.FINISH;
            if (passes + 2f < iterations && rr * turn > target) {
                next = CgDecodeState.MULTIPLY;
            }
        }
        float moves = rr > NOTHING * target ? steps : 0f;
        float meanProduct = 0f;
        for (int i = 0; i < dim / 32; i++) {
            float direction = moves * (r[i] + turn * y[i] - alongQ * scaledQ.get(head * dim + lane + 32 * i));
            meanProduct += direction * state.get(vectors + CgDecodeState.ZBAR * dim + 32 * i);
            state.set(vectors + CgDecodeState.X * dim + 32 * i, state.get(vectors + CgDecodeState.X * dim + 32 * i) + step * y[i]);
            state.set(vectors + CgDecodeState.R * dim + 32 * i, r[i]);
            state.set(vectors + CgDecodeState.Y * dim + 32 * i, direction);
        }
        meanProduct = sum(meanProduct);
        if (lane == 0) {
            facts.set(fact + CgDecodeState.MEAN, oldMean + step * (oldProduct + excess));
            facts.set(fact + CgDecodeState.MEAN_PRODUCT, meanProduct);
            facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(facts.get(fact + CgDecodeState.BB), 1e-30f)));
            facts.set(fact + CgDecodeState.ITERATIONS, facts.get(fact + CgDecodeState.ITERATIONS) + steps);
            facts.set(fact + CgDecodeState.RR, rr);
            facts.set(fact + CgDecodeState.PASSES, passes + 1f);
            facts.set(fact + CgDecodeState.ACTIVE + (pass + 1) % 2, goesOn);
            facts.set(fact + CgDecodeState.PLAN + pass % 2, 0f); // for the pass after the next, if no unit's group gets here in that
            facts.set(fact + CgDecodeState.PLAN + (pass + 1) % 2, next);
            facts.set(fact + CgDecodeState.STEP, step);
        }
        if (plan == CgDecodeState.FINISH) {
            if (lane == 0) {
                facts.set(fact + CgDecodeState.FINISHING_STEP, step);
                facts.set(fact + CgDecodeState.FINISHING_SPLITS, splits);
            }
            output(outputs, o, head, step, splits, rooms, dim, lane);
        }
    }

    /** o of x, which is behind the last step, and of the step. */
    private static void output(FloatArray outputs, FloatArray o, int head, float step, int splits, int rooms, int dim, int lane) {
        float[] whole = new float[dim / 32];
        for (int i = 0; i < dim / 32; i++) {
            whole[i] = 0f;
        }
        for (int s = 0; s < splits; s++) {
            int at = (head * rooms + s) * (2 * dim) + lane;
            for (int i = 0; i < dim / 32; i++) {
                whole[i] += outputs.get(at + 32 * i) - step * outputs.get(at + dim + 32 * i);
            }
        }
        for (int i = 0; i < dim / 32; i++) {
            o.set(head * dim + lane + 32 * i, whole[i]);
        }
    }

    /** The sum over a warp's lanes, in all of them. */
    private static float sum(float x) {
        float sum = x;
        sum += Tile.shuffleXor(sum, 16);
        sum += Tile.shuffleXor(sum, 8);
        sum += Tile.shuffleXor(sum, 4);
        sum += Tile.shuffleXor(sum, 2);
        sum += Tile.shuffleXor(sum, 1);
        return sum;
    }
}
