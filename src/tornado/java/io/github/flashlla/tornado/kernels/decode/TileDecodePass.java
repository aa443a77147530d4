package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TileRing.KEYS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.THREADS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.WARPS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.HIDDEN;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link TileDecode}'s passes: the product with A in splits, and, in the last, the output of x and of y; then a step of every head.
 *
 * <pre>
 *   row g &lt; 4    factor y   weight p (z.y - zbar.y)        sums A y, and what o changes along y
 *   row g + 4    factor x   weight p (1 - z.x + mean)      sums o of x
 * </pre>
 */
public final class TileDecodePass {
    /** Tiles in the ring of a unit that reads keys alone. */
    private static final int KEY_STAGES = 3;

    private TileDecodePass() {}

    /** Groups that a multiprocessor holds: as many warps on each of its quarters, with 255 registers or, of 6 groups, 168. */
    static int groupsPerUnit(int dim, int hw) {
        return dim > 64 || hw > 4 ? 4 : 6;
    }

    /** Tiles of keys in the ring, and as many of values. */
    static int stages(int dim) {
        return dim <= 64 ? 3 : 2;
    }

    /**
     * One pass over the keys of every split, of the units that have a plan. Units that finish run beside others: a few of them alone would
     * not keep memory busy.
     *
     * @param k the cache's keys
     * @param v the cache's values
     * @param state {@link CgDecodeState}, likewise {@code facts}; the next pass's where heads are advanced
     * @param parts out (B*H,splits,D+1): sum p (z.y - zbar.y) z, and without the z
     * @param outputs out (B*H,rooms,2 D), of units that finish: sum p (1 - a) v with a = z.x less its mean; sum p (z.y - zbar.y) v
     * @param splits of a unit's keys
     * @param o out (B*H,D), of units that finish, where heads are advanced
     * @param arrived 0 for each unit, and left so
     * @param pass whether it is even, 0, or odd, 1
     * @param iterations passes that there are at most; 0 where another kernel advances heads
     */
    public static void run(KernelContext ctx, HalfFloatArray k, HalfFloatArray v, FloatArray scaledQ, IntArray lengths, FloatArray state,
            FloatArray facts, FloatArray parts, FloatArray outputs, FloatArray o, IntArray arrived, int capacity, int kvHeads, int group, int hw,
            int splits, int rooms, int pass, int dim, int iterations) {
        int stages = stages(dim);
        Tile.launchBounds(THREADS, groupsPerUnit(dim, hw));
        int tileBytes = TileRing.tileBytes(dim);
        int[] ring = ctx.allocateIntLocalArray(TileRing.localInts(2 * stages, dim));
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int shared = base + stages * 2 * tileBytes;
        TileLane my = new TileLane(ctx.localIdx, hw, dim);
        int unit = ctx.groupIdx / splits;
        int plan = CgDecodeState.unitPlan(facts, unit, hw, pass);
        int values = plan == CgDecodeState.FINISH ? 1 : 0;
        if (plan > 0) {
            int stageBytes = (1 + values) * tileBytes;
            int ahead = KEY_STAGES - 1 + values * (stages - KEY_STAGES);
            DecodeSplit split = new DecodeSplit(ctx.groupIdx, lengths, kvHeads, group / hw, splits, KEYS);
            int sequence = DecodeSplit.kvUnit(ctx.groupIdx, group / hw, splits) * capacity; // the cache's row of the first key
            int count = split.tiles(KEYS);
            // to and fro over a split: what the last pass read last is still in the device's cache; gather goes forward
            int step = 2 * (pass % 2) - 1;
            int u = pass % 2 == 0 ? Math.max(count - 1, 0) : 0;
            int first = (sequence + split.from + u * KEYS) * dim;

            int[] qf = new int[dim / 4];
            int[] yf = new int[dim / 4];
            int[] b = new int[4];
            int[] w = new int[4];
            float[] s = new float[8];
            float[] p = new float[8];
            float[] acc = new float[dim / 2];
            float[] accV = new float[dim / 2];
            float[] common = new float[1];
            for (int n = 0; n < ahead; n++) {
                if (n < count) {
                    TileRing.copy(ring, base + n * stageBytes, k, first + n * step * (KEYS * dim), my.thread, dim);
                    if (values != 0) {
                        TileRing.copy(ring, base + n * stageBytes + tileBytes, v, first + n * step * (KEYS * dim), my.thread, dim);
                    }
                }
                Tile.commit();
            }
            int head = unit * hw + my.head;
            int fact = head * CgDecodeState.FACTS;
            float times = TileRing.factor(qf, common, scaledQ, head * dim, k, sequence, my.quad, dim) * LOG2E;
            float top = facts.get(fact + CgDecodeState.TOP);
            float offset = (common[0] + top) * LOG2E;
            int isX = values * (my.row >> 2);
            int vector = (head * CgDecodeState.VECTORS + (isX != 0 ? CgDecodeState.X : CgDecodeState.Y)) * dim;
            float largest = TileRing.factor(yf, common, state, vector, k, sequence, my.quad, dim);
            // of z.x, where MEAN takes the part of x along q from t and not from z.q
            float meanX = 1f + facts.get(fact + CgDecodeState.MEAN) + facts.get(fact + CgDecodeState.FIRST_STEP) * top;
            float meanY = facts.get(fact + CgDecodeState.MEAN_PRODUCT);
            float slope = isX != 0 ? -largest : 1f;
            float constant = isX != 0 ? meanX + common[0] : largest > 0f ? -(common[0] + meanY) / largest : 0f;

            float excess = 0f;
            for (int i = 0; i < dim / 2; i++) {
                acc[i] = 0f;
                accV[i] = 0f;
            }
            int last = ahead * stageBytes;
            int free = last;
            int stage = 0;
            int multiplied = count - values * count;
            for (int n = 0; n < multiplied; n++) {
                Tile.await(KEY_STAGES - 2);
                int token = u * KEYS;
                TileRing.clear(ring, base + stage, split.to - split.from - token, my.thread, dim);
                ctx.localBarrier();
                if (n + KEY_STAGES - 1 < multiplied) {
                    TileRing.copy(ring, base + free, k, first + (n + KEY_STAGES - 1) * step * (KEYS * dim), my.thread, dim);
                }
                Tile.commit();
                for (int j = 0; j < my.pieces; j++) {
                    int at = stage + j * TileRing.pieceBytes(dim);
                    TileRing.products(s, p, qf, yf, b, ring, base + my.scoreAt + at, dim);
                    excess += weights(w, s, p, split.from + my.keyAt + token + 16 * j, split.to, times, offset, slope, constant);
                    TileRing.sums(acc, w, b, ring, base + my.sumAt + at, dim);
                }
                free = stage;
                stage = stage == last ? 0 : stage + stageBytes;
                u += step;
            }
            // a loop of its own: a condition within the first one costs both of them
            int finished = values * count;
            for (int n = 0; n < finished; n++) {
                Tile.await(stages - 2);
                int token = u * KEYS;
                TileRing.clear(ring, base + stage, split.to - split.from - token, my.thread, dim);
                TileRing.clear(ring, base + stage + tileBytes, split.to - split.from - token, my.thread, dim);
                ctx.localBarrier();
                if (n + stages - 1 < finished) {
                    TileRing.copy(ring, base + free, k, first + (n + stages - 1) * step * (KEYS * dim), my.thread, dim);
                    TileRing.copy(ring, base + free + tileBytes, v, first + (n + stages - 1) * step * (KEYS * dim), my.thread, dim);
                }
                Tile.commit();
                for (int j = 0; j < my.pieces; j++) {
                    int at = stage + j * TileRing.pieceBytes(dim);
                    TileRing.products(s, p, qf, yf, b, ring, base + my.scoreAt + at, dim);
                    excess += weights(w, s, p, split.from + my.keyAt + token + 16 * j, split.to, times, offset, slope, constant);
                    TileRing.sums(acc, w, b, ring, base + my.sumAt + at, dim);
                    TileRing.sums(accV, w, b, ring, base + my.sumAt + at + tileBytes, dim);
                }
                free = stage;
                stage = stage == last ? 0 : stage + stageBytes;
                u += step;
            }
            Tile.await(0);
            excess = TilePieces.quadSum(excess);
            ctx.localBarrier();
            TileRing.spread(ring, base + my.warp * (64 * dim), acc, my.row, my.quad, dim);
            if (values != 0) {
                TileRing.spread(ring, base + my.warp * (64 * dim) + 32 * dim, accV, my.row, my.quad, dim);
            }
            if (my.quad == 0) {
                Tile.storeLocal2(ring, shared + my.warp * 128 + my.row * 16, excess, largest);
            }
            ctx.localBarrier();
            float[] four = new float[4];
            float[] ay = new float[4];
            float[] along = new float[4];
            float[] whole = new float[4];
            for (int n = my.thread; n < hw * (dim / 4); n += THREADS) {
                int h = n / (dim / 4);
                int d = 4 * (n % (dim / 4));
                float total = 0f;
                float size = 0f;
                for (int i = 0; i < 4; i++) {
                    ay[i] = 0f;
                    along[i] = 0f;
                    whole[i] = 0f;
                }
                for (int i = 0; i < WARPS / my.pieces; i++) {
                    int source = my.pieces > 1 ? h >> 2 : i;
                    int vectors = base + source * (64 * dim) + (h & 3) * (4 * dim) + 4 * d;
                    Tile.loadLocal4(four, 0, ring, shared + source * 128 + (h & 3) * 16);
                    total += four[0];
                    size = four[1];
                    TileDecode.add(ay, four, 1f, ring, vectors);
                    if (values != 0) {
                        TileDecode.add(along, four, 1f, ring, vectors + 32 * dim);
                        TileDecode.add(whole, four, 1f, ring, vectors + 32 * dim + 16 * dim);
                    }
                }
                float perWeight = facts.get((unit * hw + h) * CgDecodeState.FACTS + CgDecodeState.PER_WEIGHT);
                int part = ((unit * hw + h) * splits + split.number) * (dim + 1);
                int output = ((unit * hw + h) * rooms + split.number) * (2 * dim);
                for (int i = 0; i < 4; i++) {
                    float c = k.get(CacheLayout.index(sequence, d + i, dim)).getFloat32();
                    parts.set(part + d + i, perWeight * size * (ay[i] - total * c));
                    if (values != 0) {
                        outputs.set(output + d + i, perWeight * whole[i]);
                        outputs.set(output + dim + d + i, perWeight * size * along[i]);
                    }
                }
                if (d == 0) {
                    parts.set(part + dim, perWeight * size * total);
                }
            }
            if (iterations > 0) {
                if (TileDecodeSolve.last(ctx, arrived, unit, splits) != 0) {
                    for (int h = my.warp; h < hw; h += WARPS) {
                        TileDecodeSolve.advance(scaledQ, parts, outputs, state, facts, o, unit * hw + h, plan, splits, rooms, dim, pass,
                                iterations, my.lane);
                    }
                }
            }
        }
    }

    /** Weights of 4 of a lane's keys, times the factor of each; returns their sum. */
    private static float weights(int[] w, float[] s, float[] p, int key, int to, float times, float offset, float slope, float constant) {
        float sum = 0f;
        for (int i = 0; i < 2; i++) {
            float e0 = key + 8 * i < to ? (s[4 * i] + s[4 * i + 2]) * times - offset : HIDDEN;
            float e1 = key + 8 * i + 1 < to ? (s[4 * i + 1] + s[4 * i + 3]) * times - offset : HIDDEN;
            float w0 = Tile.exp2(e0) * ((p[4 * i] + p[4 * i + 2]) * slope + constant);
            float w1 = Tile.exp2(e1) * ((p[4 * i + 1] + p[4 * i + 3]) * slope + constant);
            sum += w0 + w1;
            TileRing.halves(w, 2 * i, w0, w1);
        }
        return sum;
    }
}
