package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.UNSHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.COUNT;
import static io.github.flashlla.tornado.kernels.tile.TileState.FIRST;
import static io.github.flashlla.tornado.kernels.tile.TileState.LARGEST;
import static io.github.flashlla.tornado.kernels.tile.TileState.LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.RATIO;
import static io.github.flashlla.tornado.kernels.tile.TileState.REFERENCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.RR;
import static io.github.flashlla.tornado.kernels.tile.TileState.TARGET;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.YKBAR;
import static io.github.flashlla.tornado.kernels.tile.WarpGroupPieces.uniform;

import io.github.flashlla.tornado.kernels.tile.Architecture;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.WarpGroup;
import io.github.flashlla.tornado.kernels.tile.WarpGroupPieces;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 2 of the float16 forward pass in registers: conjugate gradients, a sweep over the keys for each iteration, from the first
 * step that {@link TileForward#mean} made.
 *
 * <pre>
 *   A y = sum p (y.k - y.kbar) k - (sum p (y.k - y.kbar)) kbar + lambda y
 *   next y = r - (r.A y / y.A y) y - (r.A q / q.A q) q, at length 8, rounded
 * </pre>
 *
 * <p>No formula uses r.r of an earlier iteration, so scaling and rounding of y cost iterations and not accuracy. The term along q keeps
 * directions orthogonal to the first step; from a row's iteration {@value #RESTART} on it is left out, since kept up it can stall.
 *
 * <p>Almost every block of 64 rows holds a slow one, so a block ends when under {@value #STAY} of its rows go on, or {@value #STAY_WIDE}. {@link TileList} lists
 * those left over, and the same kernel runs again over the list. The longest of few groups decides how long that takes, so there
 * two {@linkplain #sharing warps} may have the same 16 rows, each half of the keys; the first adds up and does what comes between sweeps.
 *
 * <p>x starts as {@link TileState#FIRST} times q, which is written only for rows that take no iteration, by pass 1. r stays in local memory, but where warps share keys.
 */
public final class TileSolve {
    /** From a row's iteration of this number on its directions are not kept orthogonal to q. */
    static final int RESTART = 8;
    /** Rows of a block that must go on for it to go on. */
    private static final int STAY = 48;
    /** The same of head dims above 64, where rows left over cost more. */
    private static final int STAY_WIDE = 32;
    /** Rows of all heads up to which {@link #sharing} is for head dims above 64, too. */
    private static final long FEW_ROWS = 1 << 17;
    static final float FINITE = 1e30f;
    static final float SHORTER = 1 / 64f;

    private TileSolve() {}

    /**
     * Warps that have the same 16 rows left over, 1 or 2: two where few groups decide how long all take. Where there are many, half of the
     * warps idle between sweeps cost more.
     *
     * @param rows of all heads
     */
    public static int sharing(long rows, int dims) {
        return dims <= 64 || rows <= FEW_ROWS ? 2 : 1;
    }

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link TileForward#pack}
     * @param ridge (B,H,Sq)
     * @param kbar (B,H,Sq,D)
     * @param x out (B,H,Sq,D), with {@code own}
     * @param scratch as {@link TileState} has it
     * @param listed 0 for all rows; {@link #sharing} for those of the list, with so many times as many groups
     * @param own 1 if x is written to the result {@code x} itself where D is dims, as forward wants it; 0 if it stays in scratch
     * @param warpGroup 1 for products of four warps together ({@link WarpGroupTiles}), not for rows of the list; 0 for each warp's own ({@link WarpTiles})
     */
    public static void solve(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray ridge, FloatArray kbar, FloatArray x, FloatArray scratch,
            IntArray sizes, FloatArray settings, int D, int dims, int listed, int own,
            @Architecture(WarpGroup.ARCHITECTURE) int warpGroup) {
        Tile.launchBounds(THREADS, dims <= 64 ? 3 : 2);
        int parts = Math.max(1, listed); // warps that have the same rows
        int blockRows = BLOCK / parts;
        int stride = dims <= 64 ? 64 : 128;
        int keys = parts > 1 || warpGroup != 0 ? 64 : TileState.keys(dims);
        int rowBytes = WarpGroupPieces.rowBytes(dims);
        int inMemory = parts > 1 || warpGroup != 0 && dims > 64 ? 1 : 0;
        int residuals = inMemory != 0 ? 0 : BLOCK * dims;
        int[] tile = ctx.allocateIntLocalArray(keys * stride + residuals + (warpGroup != 0 ? rowBytes / 4 : 0)); // two tiles, and r
        float[] numbersOfRows = ctx.allocateFloatLocalArray(parts > 1 ? 2 * THREADS : 1);
        int[] directions = ctx.allocateIntLocalArray(parts > 1 ? blockRows * (dims / 2 + 4) : 1);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int pieceBytes = 32 * stride;
        int tileBytes = 2 * stride * keys;
        int mine = keys / 16 / parts; // pieces of a tile

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int causal = sizes.get(TileState.CAUSAL);
        int most = sizes.get(TileState.MAX_ITERATIONS);
        int rows = heads * Sq;
        int blocks = (Sq + BLOCK - 1) / BLOCK;
        int listAt = TileState.listAt(rows, dims);
        int leftAt = TileState.leftAt(rows, dims);
        int numbers = TileState.numbersAt(rows, dims);
        int head = ctx.groupIdx % heads;
        int place = ctx.groupIdx / heads;
        int count = listed != 0 ? Tile.loadBits(scratch, leftAt + heads * blocks + head) : Sq;
        int block = uniform((count + blockRows - 1) / blockRows - 1 - place, warpGroup);
        if (block >= 0) {
            int share = warp % parts; // of the keys
            int part = warp / parts; // of the rows
            int skip = share * mine;
            int first = block * blockRows + part * 16;
            int rowA = TileRows.row(scratch, listAt + head * Sq, first + (lane >> 2), count, listed);
            int rowB = TileRows.row(scratch, listAt + head * Sq, first + (lane >> 2) + 8, count, listed);
            int liveA = first + (lane >> 2) < count ? 1 : 0;
            int liveB = first + (lane >> 2) + 8 < count ? 1 : 0;
            int atA = head * Sq + rowA;
            int atB = head * Sq + rowB;
            int seesA = TileState.sees(rowA, Sq, Sk, causal);
            int seesB = TileState.sees(rowB, Sq, Sk, causal);
            int low = TileState.sees(TileRows.row(scratch, listAt + head * Sq, first, count, listed), Sq, Sk, causal);
            int high = TileState.sees(TileRows.row(scratch, listAt + head * Sq, first + 15, count, listed), Sq, Sk, causal);
            int last = TileState.sees(TileRows.row(scratch, listAt + head * Sq, block * blockRows + blockRows - 1, count, listed), Sq, Sk, causal);
            int tiles = uniform((last + keys - 1) / keys, warpGroup);
            int lowest = uniform(TileState.sees(TileRows.row(scratch, listAt + head * Sq, block * blockRows, count, listed), Sq, Sk, causal), warpGroup);
            int from = head / sizes.get(TileState.GROUP) * sizes.get(TileState.PADDED_SK) * stride;
            float c = settings.get(TileState.SCALE) * LOG2E;
            int aqAt = rows * dims;
            int xAt = 2 * rows * dims;
            int inPlace = D == dims ? own : 0;
            int kbarAt = 3 * rows * dims;
            int yAt = 4 * rows * dims;

            int[] qf = new int[dims / 4];
            int[] y = new int[dims / 4];
            int[] b = new int[4];
            int[] w = new int[warpGroup != 0 ? keys / 4 : 4];
            int[] one = new int[2];
            float[] s = new float[warpGroup != 0 ? keys / 2 : 8];
            float[] u = new float[warpGroup != 0 ? keys / 2 : 8];
            float[] acc = new float[dims / 2];
            float[] r = new float[dims / 2];
            float[] total = new float[4];
            float[] yk = new float[2];
            float[] four = new float[8];
            float[] mean = new float[8];
            float[] now = new float[8];
            float[] steps = new float[8];
            float[] goal = new float[8];
            float[] starts = new float[4];
            int qAt = base + 2 * tileBytes + 4 * residuals;
            if (warpGroup != 0) {
                WarpGroupPieces.copyTile(tile, base, packed, from, tid, keys, stride);
            } else {
                TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
            }
            Tile.commit();
            int buffer = tileBytes;
            int zero = Tile.opaque(0);
            TilePieces.loadRows(qf, q, atA, atB, quad, D, dims, 1f);
            TileRows.loadPairs(y, scratch, yAt, TileRows.base(atA, quad, dims), TileRows.base(atB, quad, dims), dims);
            one[0] = Tile.opaque(0x3C003C00);
            one[1] = Tile.opaque(0x3C003C00);
            int scoreAt = base + skip * pieceBytes + TilePieces.scoreByte(lane, stride);
            int sumAt = base + skip * pieceBytes + TilePieces.sumByte(lane, stride);
            float mA = scratch.get(numbers + NUMBERS * atA + REFERENCE);
            float mB = scratch.get(numbers + NUMBERS * atB + REFERENCE);
            yk[0] = scratch.get(numbers + NUMBERS * atA + YKBAR);
            yk[1] = scratch.get(numbers + NUMBERS * atB + YKBAR);
            float[] ry = new float[2]; // r.y
            int startA = TileRows.base(atA, quad, dims);
            int startB = TileRows.base(atB, quad, dims);
            TileRows.loadAll(r, scratch, 0, startA, startB, dims);
            TileRows.dot(ry, r, y, dims);
            if (warpGroup != 0) {
                WarpGroupPieces.storeRows(tile, qAt, qf, tid, dims);
            }
            int rAt = base + 2 * tileBytes + 16 * tid; // of this thread's r
            if (inMemory == 0) {
                TileRows.storeLocal(tile, rAt, 16 * THREADS, r, dims);
            }
            int goesOnA = TileState.goesOn(scratch, numbers + NUMBERS * atA, most) * liveA;
            int goesOnB = TileState.goesOn(scratch, numbers + NUMBERS * atB, most) * liveB;
            int left = uniform(Tile.count(quad + share == 0 ? goesOnA : 0) + Tile.count(quad + share == 0 ? goesOnB : 0), warpGroup);
            int stay = listed != 0 ? 1 : dims <= 64 ? STAY : STAY_WIDE;

            while (left >= stay) {
                int active = Tile.any(goesOnA + goesOnB);
                for (int i = 0; i < dims / 2; i++) {
                    acc[i] = 0f;
                }
                for (int i = 0; i < 4; i++) {
                    total[i] = 0f;
                }
                TilePieces.start(starts, yk[0], yk[1]);
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    if (warpGroup != 0) {
                        WarpGroup.publish();
                    }
                    ctx.localBarrier();
                    int next = t + 1 < tiles ? t + 1 : 0; // behind the last one the next sweep's first
                    if (warpGroup != 0) {
                        WarpGroupTiles.multiply(acc, total, s, u, w, y, zero, starts, tile, qAt, base + (tileBytes - buffer), base + buffer, packed,
                                from + next * keys * stride, tid, c, mA, mB, (t + 1) * keys <= lowest ? 1 : 0, t * keys + 2 * quad, seesA, seesB, keys, stride,
                                dims);
                        buffer = tileBytes - buffer;
                    } else {
                        if (parts == 1 || next != 0) {
                            TilePieces.copyTile(tile, base + buffer, packed, from + next * keys * stride, tid, keys, stride);
                        }
                        buffer = tileBytes - buffer;
                        Tile.commit();
                        WarpTiles.multiply(acc, total, s, u, w, qf, y, b, one, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, c, mA, mB, starts, low, high,
                                active, t * keys, skip, mine, quad, seesA, seesB, keys, dims);
                    }
                }
                if (warpGroup != 0) {
                    ctx.localBarrier();
                    total[0] = quadSum(total[0] + total[1]);
                    total[2] = quadSum(total[2] + total[3]);
                    WarpGroupPieces.loadRows(qf, tile, qAt, tid, dims); // it had no registers meanwhile
                }
                int sumsAt = base + 64 * dims * part + 16 * lane;
                int directionsAt = 32 * part * (dims / 4 + 2) + lane;
                if (parts > 1) {
                    ctx.localBarrier(); // sums go where the last tile was
                    if (share != 0) {
                        TileRows.storeLocal(tile, sumsAt, 512, acc, dims);
                        numbersOfRows[64 * warp + lane] = total[0];
                        numbersOfRows[64 * warp + 32 + lane] = total[2];
                    }
                    ctx.localBarrier();
                    if (share == 0) {
                        for (int n = 0; n < dims / 8; n++) {
                            Tile.loadLocal4(s, 0, tile, sumsAt + 512 * n);
                            for (int i = 0; i < 4; i++) {
                                acc[4 * n + i] += s[i];
                            }
                        }
                        total[0] += numbersOfRows[64 * warp + 64 + lane];
                        total[2] += numbersOfRows[64 * warp + 96 + lane];
                    }
                    ctx.localBarrier();
                    TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
                    Tile.commit();
                    buffer = tileBytes;
                }
                if (active != 0 && share == 0) {
                    int hereA = Tile.opaque(atA); // or addresses of all that follows are kept in registers all along
                    int hereB = Tile.opaque(atB);
                    int baseA = TileRows.base(hereA, quad, dims);
                    int baseB = TileRows.base(hereB, quad, dims);
                    int numbersA = numbers + NUMBERS * hereA;
                    int numbersB = numbers + NUMBERS * hereB;
                    float sumA = total[0] * UNSHIFT;
                    float sumB = total[2] * UNSHIFT;
                    float lambdaA = ridge.get(hereA);
                    float lambdaB = ridge.get(hereB);
                    float yayA = 0f;
                    float yayB = 0f;
                    for (int n = 0; n < dims / 8; n++) {
                        int pairA = y[4 * (n >> 1) + 2 * (n & 1)];
                        int pairB = y[4 * (n >> 1) + 2 * (n & 1) + 1];
                        for (int h = 0; h < 2; h++) {
                            float yA = h == 0 ? Tile.low(pairA) : Tile.high(pairA);
                            float yB = h == 0 ? Tile.low(pairB) : Tile.high(pairB);
                            acc[4 * n + h] = acc[4 * n + h] * UNSHIFT + lambdaA * yA;
                            acc[4 * n + 2 + h] = acc[4 * n + 2 + h] * UNSHIFT + lambdaB * yB;
                            yayA += yA * acc[4 * n + h];
                            yayB += yB * acc[4 * n + 2 + h];
                        }
                    }
                    yayA = quadSum(yayA) + sumA * yk[0];
                    yayB = quadSum(yayB) + sumB * yk[1];
                    // where a weight was beyond float16, a sum is not finite: the same direction again, and shorter
                    int fineA = Math.abs(yayA) < FINITE ? 1 : 0;
                    int fineB = Math.abs(yayB) < FINITE ? 1 : 0;
                    float inverseA = fineA != 0 && yayA > 0f ? 1f / yayA : 0f;
                    float inverseB = fineB != 0 && yayB > 0f ? 1f / yayB : 0f;
                    float alphaA = goesOnA != 0 && fineA != 0 ? ry[0] * inverseA : 0f;
                    float alphaB = goesOnB != 0 && fineB != 0 ? ry[1] * inverseB : 0f;
                    float rayA = 0f;
                    float rayB = 0f;
                    float raqA = 0f;
                    float raqB = 0f;
                    float rrA = 0f;
                    float rrB = 0f;
                    for (int n = 0; n < dims / 8; n++) {
                        int at = 4 * (n & 1);
                        if (at == 0) {
                            if (inMemory == 0) {
                                Tile.loadLocal4(r, 4 * n, tile, rAt + 16 * THREADS * n);
                                Tile.loadLocal4(r, 4 * n + 4, tile, rAt + 16 * THREADS * (n + 1));
                            } else {
                                TileRows.load(r, 4 * n, scratch, 0, baseA, baseB, n >> 1);
                            }
                            TileRows.loadMean(mean, 0, kbar, scratch, kbarAt, baseA, baseB, n >> 1, D, dims);
                            TileRows.load(four, 0, scratch, aqAt, baseA, baseB, n >> 1);
                        }
                        for (int h = 0; h < 2; h++) {
                            float ayA = fineA != 0 ? acc[4 * n + h] - sumA * mean[at + h] : 0f;
                            float ayB = fineB != 0 ? acc[4 * n + 2 + h] - sumB * mean[at + 2 + h] : 0f;
                            r[4 * n + h] -= alphaA * ayA;
                            r[4 * n + 2 + h] -= alphaB * ayB;
                            rrA += r[4 * n + h] * r[4 * n + h];
                            rrB += r[4 * n + 2 + h] * r[4 * n + 2 + h];
                            rayA += r[4 * n + h] * ayA;
                            rayB += r[4 * n + 2 + h] * ayB;
                            raqA += r[4 * n + h] * four[at + h];
                            raqB += r[4 * n + 2 + h] * four[at + 2 + h];
                        }
                    }
                    Tile.load4(now, 0, scratch, numbersA + RR);
                    Tile.load4(now, 2, scratch, numbersB + RR);
                    Tile.load4(steps, 0, scratch, numbersA + RATIO);
                    Tile.load4(steps, 2, scratch, numbersB + RATIO);
                    Tile.load4(goal, 0, scratch, numbersA + TARGET);
                    Tile.load4(goal, 2, scratch, numbersB + TARGET);
                    // before anything is written
                    TileRows.multiple(acc, qf, steps[5], steps[7], dims);
                    TileRows.loadSolution(acc, 0, x, scratch, xAt, inPlace, baseA, now[1], dims);
                    TileRows.loadSolution(acc, 2, x, scratch, xAt, inPlace, baseB, now[3], dims);
                    int countA = (int) now[1] + goesOnA;
                    int countB = (int) now[3] + goesOnB;
                    float lengthA = now[4] * (fineA != 0 ? 1f : SHORTER);
                    float lengthB = now[6] * (fineB != 0 ? 1f : SHORTER);
                    float targetA = goal[0];
                    float targetB = goal[2];
                    TileRows.subtract(acc, y, -alphaA, -alphaB, dims);
                    if (inMemory == 0) {
                        TileRows.storeLocal(tile, rAt, 16 * THREADS, r, dims);
                    } else {
                        TileRows.storeAll(scratch, 0, baseA, baseB, r, dims, goesOnA, goesOnB);
                    }
                    rrA = quadSum(rrA);
                    rrB = quadSum(rrB);
                    rayA = quadSum(rayA);
                    rayB = quadSum(rayB);
                    raqA = quadSum(raqA);
                    raqB = quadSum(raqB);
                    float ofYA = fineA == 0 ? -1f : countA == RESTART + 1 ? 0f : rayA * inverseA;
                    float ofYB = fineB == 0 ? -1f : countB == RESTART + 1 ? 0f : rayB * inverseB;
                    float ofQA = goal[1] > 0f && countA <= RESTART && fineA != 0 ? raqA / goal[1] : 0f;
                    float ofQB = goal[3] > 0f && countB <= RESTART && fineB != 0 ? raqB / goal[3] : 0f;
                    float inverseRrA = TileSteps.inverse(now[0]);
                    float inverseRrB = TileSteps.inverse(now[2]);
                    float stepA = alphaA * ry[0] * inverseRrA;
                    float stepB = alphaB * ry[1] * inverseRrB;
                    float nextA = TileSteps.foresee(steps, 0, rrA, rrA * inverseRrA, stepA, countA);
                    float nextB = TileSteps.foresee(steps, 2, rrB, rrB * inverseRrB, stepB, countB);
                    // a row that is done takes one more step, along its next direction and as long as the last
                    stepA = nextA < rrA && nextA <= targetA ? stepA * goesOnA : 0f;
                    stepB = nextB < rrB && nextB <= targetB ? stepB * goesOnB : 0f;
                    float reachedA = rrA > targetA && nextA <= targetA ? nextA : rrA;
                    float reachedB = rrB > targetB && nextB <= targetB ? nextB : rrB;
                    TileRows.turn(r, four, y, qf, fineA, fineB, ofYA, ofYB, ofQA, ofQB, dims); // r is the next direction from here on
                    if (Tile.any(stepA + stepB > 0f ? 1 : 0) != 0) {
                        TileRows.step(acc, r, stepA, stepB, dims);
                    }
                    TileRows.storeSolution(x, scratch, xAt, inPlace, baseA, baseB, acc, dims, goesOnA, goesOnB);
                    if (quad == 0 && goesOnA != 0) {
                        Tile.store4(scratch, numbersA + RATIO, steps[0], steps[1], steps[4], steps[5]);
                        Tile.store4(scratch, numbersA + RR, reachedA, countA, lengthA, Math.max(rrA, now[5]));
                    }
                    if (quad == 0 && goesOnB != 0) {
                        Tile.store4(scratch, numbersB + RATIO, steps[2], steps[3], steps[6], steps[7]);
                        Tile.store4(scratch, numbersB + RR, reachedB, countB, lengthB, Math.max(rrB, now[7]));
                    }
                    goesOnA *= reachedA <= targetA || countA >= most ? 0 : 1;
                    goesOnB *= reachedB <= targetB || countB >= most ? 0 : 1;
                    TileRows.direction(y, ry, r, four, dims, lengthA * goesOnA, lengthB * goesOnB);
                    for (int m = 0; m < dims / 16; m++) {
                        TileRows.loadMean(acc, 8 * m, kbar, scratch, kbarAt, baseA, baseB, m, D, dims);
                    }
                    TileRows.dot(yk, acc, y, dims);
                    yk[0] = -yk[0];
                    yk[1] = -yk[1];
                }
                if (parts > 1) {
                    if (share == 0) {
                        for (int i = 0; i < dims / 4; i++) {
                            directions[directionsAt + 32 * i] = y[i];
                        }
                        directions[directionsAt + 8 * dims] = goesOnA;
                        directions[directionsAt + 8 * dims + 32] = goesOnB;
                        numbersOfRows[64 * warp + lane] = yk[0];
                        numbersOfRows[64 * warp + 32 + lane] = yk[1];
                    }
                    ctx.localBarrier();
                    if (share != 0) {
                        for (int i = 0; i < dims / 4; i++) {
                            y[i] = directions[directionsAt + 32 * i];
                        }
                        goesOnA = directions[directionsAt + 8 * dims];
                        goesOnB = directions[directionsAt + 8 * dims + 32];
                        yk[0] = numbersOfRows[64 * warp - 64 + lane];
                        yk[1] = numbersOfRows[64 * warp - 32 + lane];
                    }
                }
                left = uniform(Tile.count(quad + share == 0 ? goesOnA : 0) + Tile.count(quad + share == 0 ? goesOnB : 0), warpGroup);
            }
            Tile.await(0); // the tile that no sweep came for
            if (quad + share == 0) {
                if (liveA != 0) {
                    scratch.set(numbers + NUMBERS * atA + YKBAR, yk[0]);
                }
                if (liveB != 0) {
                    scratch.set(numbers + NUMBERS * atB + YKBAR, yk[1]);
                }
            }
            if (listed == 0) {
                if (inMemory == 0) {
                    TileRows.loadLocal(r, tile, rAt, 16 * THREADS, dims);
                    TileRows.storeAll(scratch, 0, TileRows.base(atA, quad, dims), TileRows.base(atB, quad, dims), r, dims, goesOnA, goesOnB);
                }
                TileRows.storePairs(scratch, y, yAt, TileRows.base(atA, quad, dims), TileRows.base(atB, quad, dims), dims, goesOnA, goesOnB);
                if (tid == 0) {
                    Tile.storeBits(scratch, leftAt + head * blocks + block, left);
                }
            }
        }
    }
}
