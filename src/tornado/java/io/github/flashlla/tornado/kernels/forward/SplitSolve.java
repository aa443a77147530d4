package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TileSolve.FINITE;
import static io.github.flashlla.tornado.kernels.forward.TileSolve.RESTART;
import static io.github.flashlla.tornado.kernels.forward.TileSolve.SHORTER;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.UNSHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.COUNT;
import static io.github.flashlla.tornado.kernels.tile.TileState.LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.QAQ;
import static io.github.flashlla.tornado.kernels.tile.TileState.REFERENCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.YKBAR;

import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.TwoRows;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 2 of the float32 forward pass on half-precision matrix units ({@link SplitPieces}): conjugate gradients as {@link TileSolve} has them,
 * with its list of rows left over. The backward pass solves for u with it.
 */
public final class SplitSolve {
    /** Rows of a block that must go on for it to go on. */
    private static final int STAY = 48;

    private SplitSolve() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link SplitMean#pack}
     * @param ridge (B,H,Sq)
     * @param scratch as {@link SplitRows} has it
     * @param causal 1 with the causal mask, else 0
     * @param listed 1 for the rows of the list, 0 for all
     */
    public static void solve(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray ridge, FloatArray scratch, IntArray sizes,
            FloatArray settings, int D, int dims, int causal, int listed) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(SplitPieces.localInts(dims));
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int keys = SplitPieces.keys(dims);
        int pieceBytes = 32 * stride;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int most = sizes.get(TileState.MAX_ITERATIONS);
        int rows = heads * Sq;
        int blocks = (Sq + BLOCK - 1) / BLOCK;
        int listAt = TileState.listAt(rows, dims);
        int leftAt = TileState.leftAt(rows, dims);
        int numbers = TileState.numbersAt(rows, dims);
        int head = ctx.groupIdx % heads;
        int place = ctx.groupIdx / heads;
        int count = listed != 0 ? Tile.loadBits(scratch, leftAt + heads * blocks + head) : Sq;
        int block = (count + BLOCK - 1) / BLOCK - 1 - place;
        if (block >= 0) {
            int first = block * BLOCK + warp * 16;
            TwoRows two = TwoRows.listed(scratch, listAt + head * Sq, count, listed, lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
            int tiles = (two.most + keys - 1) / keys;
            int from = head / group * padded * stride;
            int behind = heads / group * padded * stride;
            float factor = scratch.get(SplitRows.factorsAt(heads, Sq, dims) + head / group);
            float c = settings.get(TileState.SCALE) * LOG2E;
            int aqAt = rows * dims;
            int xAt = 2 * rows * dims;
            int kbarAt = 3 * rows * dims;

            int[] qf = new int[SplitPieces.rowRegisters(dims)];
            int[] y = new int[dims / 2];
            int[] b = new int[8];
            int[] w = new int[8];
            float[] s = new float[8];
            float[] u = new float[8];
            float[] part = new float[8];
            float[] acc = new float[dims / 2];
            float[] r = new float[dims / 2];
            float[] total = new float[2];
            float[] yk = new float[2];
            float[] ys = new float[4];
            float[] four = new float[4];
            float[] starts = new float[4];
            float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, dims);
            float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, dims);
            SplitPieces.loadRows(qf, tile, base, q, two.atA, two.atB, tid, D, dims, timesA, timesB);
            SplitRows.loadDirection(y, scratch, heads, Sq, two.atA, two.atB, quad, dims);
            float cA = c / (timesA * factor);
            float cB = c / (timesB * factor);
            int qAt = SplitPieces.rowsAt(base, tid);
            int scoreAt = base + TilePieces.scoreByte(lane, stride);
            int sumAt = base + TilePieces.sumByte(lane, stride);
            // products with keys are as many times too large, so weights are as many times smaller
            float mA = scratch.get(numbers + NUMBERS * two.atA + REFERENCE) + Tile.log2(factor);
            float mB = scratch.get(numbers + NUMBERS * two.atB + REFERENCE) + Tile.log2(factor);
            yk[0] = scratch.get(numbers + NUMBERS * two.atA + YKBAR);
            yk[1] = scratch.get(numbers + NUMBERS * two.atB + YKBAR);
            int goesOnA = TileState.goesOn(scratch, numbers + NUMBERS * two.atA, most) * two.liveA;
            int goesOnB = TileState.goesOn(scratch, numbers + NUMBERS * two.atB, most) * two.liveB;
            int left = Tile.count(quad == 0 ? goesOnA : 0) + Tile.count(quad == 0 ? goesOnB : 0);
            int stay = listed != 0 ? 1 : STAY;

            while (left >= stay) {
                int active = Tile.any(goesOnA + goesOnB);
                for (int i = 0; i < dims / 2; i++) {
                    acc[i] = 0f;
                }
                total[0] = 0f;
                total[1] = 0f;
                TilePieces.start(starts, yk[0], yk[1]);
                SplitPieces.copyTile(tile, base, packed, from, behind, tid, keys, stride);
                Tile.commit();
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    ctx.localBarrier();
                    int buffer = (t & 1) << 13;
                    if (t + 1 < tiles) {
                        SplitPieces.copyTile(tile, base + (8192 - buffer), packed, from + (t + 1) * keys * stride, behind, tid, keys, stride);
                        Tile.commit();
                    }
                    int key = t * keys;
                    int whole = key + keys <= two.low ? active : 0;
                    if (whole != 0) {
                        piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, 0, cA, cB, mA, mB, starts, 0,
                                EVERY_KEY, EVERY_KEY, dims);
                        if (keys > 16) {
                            piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, pieceBytes, cA, cB, mA, mB,
                                    starts, 0, EVERY_KEY, EVERY_KEY, dims);
                        }
                    }
                    int pieces = whole != 0 || active == 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
                    for (int j = 0; j < pieces; j++) {
                        piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, j * pieceBytes, cA, cB, mA, mB,
                                starts, key + j * 16 + 2 * quad, two.seesA, two.seesB, dims);
                    }
                }
                if (active != 0) {
                    int hereA = Tile.opaque(two.atA); // or addresses of all that follows are kept in registers all along
                    int hereB = Tile.opaque(two.atB);
                    int baseA = SplitRows.base(hereA, quad, dims);
                    int baseB = SplitRows.base(hereB, quad, dims);
                    int numbersA = numbers + NUMBERS * hereA;
                    int numbersB = numbers + NUMBERS * hereB;
                    float sumA = quadSum(total[0]) * UNSHIFT;
                    float sumB = quadSum(total[1]) * UNSHIFT;
                    float unscale = UNSHIFT / factor;
                    float lambdaA = ridge.get(hereA);
                    float lambdaB = ridge.get(hereB);
                    float yayA = 0f;
                    float yayB = 0f;
                    float ryA = 0f;
                    float ryB = 0f;
                    for (int n = 0; n < dims / 8; n++) {
                        SplitRows.numbers(ys, y, n, dims);
                        SplitRows.loadFour(r, 4 * n, scratch, 0, baseA, baseB, 8 * n);
                        SplitRows.loadFour(four, 0, scratch, kbarAt, baseA, baseB, 8 * n);
                        for (int h = 0; h < 2; h++) {
                            float ayA = acc[4 * n + h] * unscale - sumA * four[h] + lambdaA * ys[h];
                            float ayB = acc[4 * n + 2 + h] * unscale - sumB * four[2 + h] + lambdaB * ys[2 + h];
                            yayA += ys[h] * ayA;
                            yayB += ys[2 + h] * ayB;
                            ryA += ys[h] * r[4 * n + h];
                            ryB += ys[2 + h] * r[4 * n + 2 + h];
                            acc[4 * n + h] = ayA;
                            acc[4 * n + 2 + h] = ayB;
                        }
                    }
                    yayA = quadSum(yayA);
                    yayB = quadSum(yayB);
                    ryA = quadSum(ryA);
                    ryB = quadSum(ryB);
                    // where a weight was beyond float16, a sum is not finite: the same direction again, and shorter
                    int fineA = Math.abs(yayA) < FINITE ? 1 : 0;
                    int fineB = Math.abs(yayB) < FINITE ? 1 : 0;
                    float inverseA = fineA != 0 && yayA > 0f ? 1f / yayA : 0f;
                    float inverseB = fineB != 0 && yayB > 0f ? 1f / yayB : 0f;
                    float alphaA = goesOnA != 0 && fineA != 0 ? ryA * inverseA : 0f;
                    float alphaB = goesOnB != 0 && fineB != 0 ? ryB * inverseB : 0f;
                    float rayA = 0f;
                    float rayB = 0f;
                    float raqA = 0f;
                    float raqB = 0f;
                    float rrA = 0f;
                    float rrB = 0f;
                    for (int n = 0; n < dims / 8; n++) {
                        SplitRows.loadFour(four, 0, scratch, aqAt, baseA, baseB, 8 * n);
                        for (int h = 0; h < 2; h++) {
                            float ayA = fineA != 0 ? acc[4 * n + h] : 0f;
                            float ayB = fineB != 0 ? acc[4 * n + 2 + h] : 0f;
                            r[4 * n + h] -= alphaA * ayA;
                            r[4 * n + 2 + h] -= alphaB * ayB;
                            rrA += r[4 * n + h] * r[4 * n + h];
                            rrB += r[4 * n + 2 + h] * r[4 * n + 2 + h];
                            rayA += r[4 * n + h] * ayA;
                            rayB += r[4 * n + 2 + h] * ayB;
                            raqA += r[4 * n + h] * four[h];
                            raqB += r[4 * n + 2 + h] * four[2 + h];
                        }
                    }
                    for (int n = 0; n < dims / 8; n++) { // all of x at once, before anything is written
                        SplitRows.loadFour(acc, 4 * n, scratch, xAt, baseA, baseB, 8 * n);
                    }
                    for (int n = 0; n < dims / 8; n++) {
                        SplitRows.numbers(ys, y, n, dims);
                        for (int h = 0; h < 2; h++) {
                            acc[4 * n + h] += alphaA * ys[h];
                            acc[4 * n + 2 + h] += alphaB * ys[2 + h];
                        }
                        SplitRows.storeFour(scratch, xAt, baseA, baseB, 8 * n, acc, 4 * n, two.liveA, two.liveB);
                        SplitRows.storeFour(scratch, 0, baseA, baseB, 8 * n, r, 4 * n, two.liveA, two.liveB);
                    }
                    rrA = quadSum(rrA);
                    rrB = quadSum(rrB);
                    rayA = quadSum(rayA);
                    rayB = quadSum(rayB);
                    raqA = quadSum(raqA);
                    raqB = quadSum(raqB);
                    int countA = (int) scratch.get(numbersA + COUNT) + goesOnA;
                    int countB = (int) scratch.get(numbersB + COUNT) + goesOnB;
                    float lengthA = scratch.get(numbersA + LENGTH) * (fineA != 0 ? 1f : SHORTER);
                    float lengthB = scratch.get(numbersB + LENGTH) * (fineB != 0 ? 1f : SHORTER);
                    float qaqA = scratch.get(numbersA + QAQ);
                    float qaqB = scratch.get(numbersB + QAQ);
                    Tile.warpBarrier();
                    if (quad == 0) {
                        TileState.keep(scratch, numbersA, rrA, countA, lengthA, goesOnA);
                        TileState.keep(scratch, numbersB, rrB, countB, lengthB, goesOnB);
                    }
                    Tile.warpBarrier();
                    float betaA = fineA == 0 ? -1f : countA == RESTART + 1 ? 0f : rayA * inverseA;
                    float betaB = fineB == 0 ? -1f : countB == RESTART + 1 ? 0f : rayB * inverseB;
                    float alongA = qaqA > 0f && countA <= RESTART && fineA != 0 ? raqA / qaqA : 0f;
                    float alongB = qaqB > 0f && countB <= RESTART && fineB != 0 ? raqB / qaqB : 0f;
                    for (int n = 0; n < dims / 8; n++) {
                        SplitRows.numbers(ys, y, n, dims);
                        SplitRows.queries(four, q, hereA, hereB, 8 * n + 2 * quad, D);
                        for (int h = 0; h < 2; h++) {
                            r[4 * n + h] = (fineA != 0 ? r[4 * n + h] : 0f) - betaA * ys[h] - alongA * four[h];
                            r[4 * n + 2 + h] = (fineB != 0 ? r[4 * n + 2 + h] : 0f) - betaB * ys[2 + h] - alongB * four[2 + h];
                        }
                    }
                    goesOnA *= TileState.goesOn(scratch, numbersA, most);
                    goesOnB *= TileState.goesOn(scratch, numbersB, most);
                    SplitRows.direction(y, yk, r, scratch, kbarAt, baseA, baseB, dims, lengthA * goesOnA, lengthB * goesOnB, factor);
                }
                left = Tile.count(quad == 0 ? goesOnA : 0) + Tile.count(quad == 0 ? goesOnB : 0);
            }
            if (quad == 0) {
                if (two.liveA != 0) {
                    scratch.set(numbers + NUMBERS * two.atA + YKBAR, yk[0]);
                }
                if (two.liveB != 0) {
                    scratch.set(numbers + NUMBERS * two.atB + YKBAR, yk[1]);
                }
            }
            if (listed == 0) {
                SplitRows.storeDirection(scratch, y, heads, Sq, two.atA, two.atB, quad, dims, goesOnA, goesOnB);
                if (tid == 0) {
                    Tile.storeBits(scratch, leftAt + head * blocks + block, left);
                }
            }
        }
    }

    /** Adds 16 keys to A y. */
    private static void piece(float[] acc, float[] total, float[] s, float[] u, float[] part, int[] w, int[] q, int[] y, int[] b, int[] tile, int qAt,
            int scoreAt, int sumAt, int offset, float cA, float cB, float mA, float mB, float[] starts, int key, int seesA, int seesB, int dims) {
        SplitPieces.scoresAndProducts(s, u, q, y, b, tile, qAt, scoreAt, offset, starts, dims);
        SplitPieces.weights(w, total, s, u, cA, cB, mA, mB, key, seesA, seesB);
        SplitPieces.sums(acc, part, w, b, tile, sumAt, offset, dims);
    }
}
