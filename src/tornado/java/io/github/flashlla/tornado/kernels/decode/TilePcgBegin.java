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

/** The begin of {@link TilePcg}'s solve: M^-1 of the heads of a key/value head, and the first step of each, along q. */
public final class TilePcgBegin {
    /** Threads of {@link #run}. */
    static final int THREADS = 256;
    /**
     * What is left of the residual by the first step along M^-1 r, as a part of how far M^-1 A q is from q: 0.7 on normal keys, give or take 0.1, where
     * the first step is along q.
     */
    private static final float LEFT = 0.7f;

    /** Sums over a head's threads that are made at once. */
    private static final int SUMS = 9;
    // what the inversion shares: a block's columns, these times its inverse, a column of the block, and its inverse; the first two with room for banks
    private static final int ROOM = DIM + 1;
    private static final int PANEL = 0;
    private static final int SOLVED = 16 * ROOM;
    private static final int COLUMN = 32 * ROOM;
    private static final int INNER = COLUMN + 32;

    private TilePcgBegin() {}

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
    public static void run(KernelContext context, HalfFloatArray k, FloatArray q, FloatArray ridges, IntArray lengths, FloatArray sums,
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
        float[] means = context.allocateFloatLocalArray(HEADS * MOST_SPLITS * DIM); // of splits; then what the inversion shares; then M^-1
        float[] parts = context.allocateFloatLocalArray(HEADS * MOST_SPLITS);
        float[] weights = context.allocateFloatLocalArray(HEADS * MOST_SPLITS);
        float[] whole = context.allocateFloatLocalArray(MOST_SPLITS);
        float[] kbar = context.allocateFloatLocalArray(HEADS * DIM);
        float[] localR = context.allocateFloatLocalArray(HEADS * DIM);
        float[] localAq = context.allocateFloatLocalArray(HEADS * DIM);
        float[] partial = context.allocateFloatLocalArray(THREADS / 32 * SUMS);

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
        int warp = me / 32;
        float zbar = sumZ * perWeight;
        float query = q.get(head * DIM + d);
        float right = some * ((c - query) + zbar);
        float product = (sumTz * perWeight - meanT * zbar) / scale + ridge * query;
        kbar[local] = some * (c + zbar);
        localAq[local] = product;
        float qq = ofWarp(query * query);
        float qAq = ofWarp(query * product);
        float qb = ofWarp(query * right);
        float bb = ofWarp(right * right);
        float common = ofWarp(c * query * scale);
        if ((me & 31) == 0) {
            partial[warp * SUMS] = qq;
            partial[warp * SUMS + 1] = qAq;
            partial[warp * SUMS + 2] = qb;
            partial[warp * SUMS + 3] = bb;
            partial[warp * SUMS + 4] = common;
        }
        context.localBarrier();
        int pair = warp / 2 * (2 * SUMS);
        qq = partial[pair] + partial[pair + SUMS];
        qAq = partial[pair + 1] + partial[pair + SUMS + 1];
        qb = partial[pair + 2] + partial[pair + SUMS + 2];
        bb = partial[pair + 3] + partial[pair + SUMS + 3];
        common = partial[pair + 4] + partial[pair + SUMS + 4];
        float step = 0;
        if (qAq > 0) {
            step = qb / qAq;
        }
        float r = right - step * product;
        localR[local] = r;
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
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                own[4 * i + j] = 0f;
            }
        }
        int upper = element(Math.max(ty, tx), Math.min(ty, tx));
        int plain = element(ty, tx);
        int across = element(tx, ty);
        for (int s = 0; s < splits; s++) {
            float part = whole[s];
            int at = (unit * splits + s) * MOMENTS;
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) {
                    int within = i == j ? upper : i < j ? plain : across;
                    own[4 * i + j] += part * moments.get(at + 256 * TilePcg.block(Math.min(i, j), Math.max(i, j)) + within);
                }
            }
            for (int h = 0; h < hw; h++) { // what the heads' means leave: nothing where weights are as moments have them
                float left = parts[h * MOST_SPLITS + s] - part * weights[h * MOST_SPLITS + s];
                int mean = (h * MOST_SPLITS + s) * DIM;
                for (int i = 0; i < 4; i++) {
                    byRow[i] = left * means[mean + ty + 16 * i];
                    byColumn[i] = means[mean + tx + 16 * i];
                }
                for (int i = 0; i < 4; i++) {
                    for (int j = 0; j < 4; j++) {
                        own[4 * i + j] += byRow[i] * byColumn[j];
                    }
                }
            }
        }
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < 4; i++) {
                byRow[i] = kbar[h * DIM + ty + 16 * i] / hw;
                byColumn[i] = kbar[h * DIM + tx + 16 * i];
            }
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) {
                    own[4 * i + j] -= byRow[i] * byColumn[j];
                }
            }
        }
        for (int i = 0; i < 4; i++) {
            own[5 * i] += tx == ty ? meanRidge : 0f;
        }
        // a step takes 16 rows and columns of all others, by the inverse of their block: (block, block) -> -inverse, (i, block) -> (i, block) inverse;
        // -M^-1 is left
        int sixteen = 16 + (context.groupIdx >> 30); // a bound that no compiler knows: the loop stays one
        for (int block = 0; block < 4; block++) {
            context.localBarrier(); // all are done with what is written now
            for (int i = 0; i < 4; i++) { // a choice and not own[4 * i + block], which would put the array in memory
                float chosen = own[4 * i];
                for (int j = 1; j < 4; j++) {
                    chosen = j == block ? own[4 * i + j] : chosen;
                }
                means[PANEL + tx * ROOM + ty + 16 * i] = chosen;
            }
            float inner = own[0];
            for (int i = 1; i < 4; i++) {
                inner = i == block ? own[5 * i] : inner;
            }
            for (int p = 0; p < sixteen; p++) {
                int column = COLUMN + (p & 1) * 16;
                if (tx == p) {
                    means[column + ty] = inner;
                }
                context.localBarrier();
                float inverse = 1f / Math.max(means[column + p], meanRidge); // in exact arithmetic no pivot is below the ridge
                float inRow = ty == p ? -1f : means[column + ty];
                float inColumn = tx == p ? -1f : means[column + tx];
                float kept = ty == p ? 0f : inner;
                kept = tx == p ? 0f : kept;
                inner = kept - inRow * inverse * inColumn;
            }
            means[INNER + ty * 16 + tx] = inner;
            context.localBarrier();
            for (int i = 0; i < 4; i++) {
                float sum = 0;
                for (int m = 0; m < 16; m++) {
                    sum -= means[PANEL + m * ROOM + ty + 16 * i] * means[INNER + m * 16 + tx];
                }
                means[SOLVED + tx * ROOM + ty + 16 * i] = i == block ? inner : sum;
            }
            context.localBarrier();
            for (int m = 0; m < 16; m++) {
                for (int i = 0; i < 4; i++) {
                    byRow[i] = means[SOLVED + m * ROOM + ty + 16 * i];
                    byColumn[i] = means[PANEL + m * ROOM + tx + 16 * i];
                }
                for (int i = 0; i < 4; i++) {
                    for (int j = 0; j < 4; j++) {
                        own[4 * i + j] -= byRow[i] * byColumn[j];
                    }
                }
            }
            for (int i = 0; i < 4; i++) {
                byRow[i] = means[SOLVED + tx * ROOM + ty + 16 * i];
                byColumn[i] = means[SOLVED + ty * ROOM + tx + 16 * i];
            }
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) {
                    own[4 * i + j] = j == block ? byRow[i] : own[4 * i + j];
                    own[4 * i + j] = i == block ? byColumn[j] : own[4 * i + j];
                }
            }
        }
        context.localBarrier();
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                means[(ty + 16 * i) * DIM + tx + 16 * j] = -own[4 * i + j];
            }
        }
        context.localBarrier();

        float solved = 0;
        float ofProduct = 0;
        for (int i = 0; i < DIM; i++) {
            solved += means[i * DIM + d] * localR[mine * DIM + i];
            ofProduct += means[i * DIM + d] * localAq[mine * DIM + i];
        }
        float rr = ofWarp(r * r);
        float rAq = ofWarp(r * product);
        float rMr = ofWarp(solved * r);
        float overlap = ofWarp(solved * product);
        float along = ofWarp(ofProduct * query);
        float size = ofWarp(ofProduct * ofProduct);
        float meanQ = ofWarp(zbar * query);
        float meanR = ofWarp(zbar * r);
        float meanSolved = ofWarp(zbar * solved);
        if ((me & 31) == 0) {
            partial[warp * SUMS] = rr;
            partial[warp * SUMS + 1] = rAq;
            partial[warp * SUMS + 2] = rMr;
            partial[warp * SUMS + 3] = overlap;
            partial[warp * SUMS + 4] = along;
            partial[warp * SUMS + 5] = size;
            partial[warp * SUMS + 6] = meanQ;
            partial[warp * SUMS + 7] = meanR;
            partial[warp * SUMS + 8] = meanSolved;
        }
        context.localBarrier();
        rr = partial[pair] + partial[pair + SUMS];
        rAq = partial[pair + 1] + partial[pair + SUMS + 1];
        overlap = partial[pair + 3] + partial[pair + SUMS + 3];
        along = partial[pair + 4] + partial[pair + SUMS + 4];
        size = partial[pair + 5] + partial[pair + SUMS + 5];
        meanQ = partial[pair + 6] + partial[pair + SUMS + 6];
        meanR = partial[pair + 7] + partial[pair + SUMS + 7];
        meanSolved = partial[pair + 8] + partial[pair + SUMS + 8];
        float all = 1; // what overflowed is not used by any head: then conjugate gradients go without M
        for (int h = 0; h < hw; h++) {
            float left = partial[2 * SUMS * h] + partial[2 * SUMS * h + SUMS];
            rMr = partial[2 * SUMS * h + 2] + partial[2 * SUMS * h + SUMS + 2];
            float usable = 0;
            if (rMr > 0 && rMr < 1e30f) {
                usable = 1;
            }
            if (left > 0) {
                all = Math.min(all, usable);
            }
        }
        float alongQ = 0;
        if (qAq > 0) {
            alongQ = (all > 0 ? overlap : rAq) / qAq;
        }
        float active = 0;
        if (rr > tolerance * tolerance * bb) {
            active = 1;
        }
        float far = 1;
        if (all > 0) { // how far M^-1 A q is from q, apart from its length
            far = LEFT * LEFT * Math.max(1f - along * along / Math.max(qq * size, 1e-30f), 0f);
        }
        float plan = CgDecodeState.FINISH;
        if (active > 0 && launched > 1 && rr * far > tolerance * tolerance * bb) {
            plan = CgDecodeState.MULTIPLY;
        }
        float direction = all > 0 ? solved : r;
        float meanProduct = (all > 0 ? meanSolved : meanR) - alongQ * meanQ;
        if (mine < hw) {
            int vectors = head * CgDecodeState.VECTORS * DIM + d;
            state.set(vectors + CgDecodeState.KBAR * DIM, kbar[local]);
            state.set(vectors + CgDecodeState.ZBAR * DIM, zbar);
            state.set(vectors + CgDecodeState.AQ * DIM, product);
            state.set(vectors + CgDecodeState.X * DIM, step * query);
            state.set(vectors + CgDecodeState.R * DIM, r);
            state.set(vectors + CgDecodeState.Y * DIM, active > 0 ? direction - alongQ * query : 0f);
            if (d == 0) {
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
                facts.set(fact + CgDecodeState.MEAN_PRODUCT, active > 0 ? meanProduct : 0f);
                CgDecodeState.start(facts, fact, active, plan);
            }
        }
        for (int n = me; n < DIM * DIM; n += THREADS) {
            float none = n / DIM == n % DIM ? 1f : 0f;
            inverses.set(unit * (DIM * DIM) + n, all > 0 ? means[n] : none);
        }
    }

    /** The sum over a warp's lanes, in all of them. */
    private static float ofWarp(float x) {
        float sum = x + Tile.shuffleXor(x, 16);
        sum += Tile.shuffleXor(sum, 8);
        sum += Tile.shuffleXor(sum, 4);
        sum += Tile.shuffleXor(sum, 2);
        return sum + Tile.shuffleXor(sum, 1);
    }

    /** Where {@link TilePcg#gather} writes the element of a row and a column of a block of 16 x 16. */
    private static int element(int row, int column) {
        return (column >> 3) * 128 + ((row & 7) * 4 + ((column & 7) >> 1)) * 4 + (row >> 3) * 2 + (column & 1);
    }
}
