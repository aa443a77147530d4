package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.backward.SplitBackward.DIMS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * dk and dv of the float32 backward pass on half-precision matrix units ({@link SplitBackward}), for head dims to {@value SplitBackward#DIMS}:
 *
 * <pre>
 *   dk_j = sum_i [ scale p_ij (e_ij h_ij - mu_i) q_i + p_ij e_ij u_i - p_ij h_ij x_i ]
 *   dv_j = sum_i p_ij e_ij g_i
 * </pre>
 *
 * <p>A warp has 16 keys, and their values, in registers; tiles are of 16 queries: q, -x, u and g, and of each query the four numbers of
 * {@link SplitBackward#packRows}. Weights are about as large whatever q, x and u are, for where a query sees many keys, and another has a long
 * x, one unit for all would leave some too few digits; sums of 16 queries are brought to dk's.
 */
public final class SplitBackwardKeys {
    /** Queries of a tile. */
    private static final int QUERIES = 16;
    /** Bytes of a half of a tile's rows. */
    private static final int HALF = 2048;
    /** From first halves of q and x in a tile to those of u and g. */
    private static final int GRADIENTS = 8192;
    /** How large a weight is where p, e and h are about 1. */
    static final float TYPICAL_WEIGHT = 256f;
    /** G as its products are: 64, of numbers up to 1024, of 90 each. */
    static final float TYPICAL_PRODUCT = 0x1p19f;

    private SplitBackwardKeys() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} keys of a kv head, the first keys first, since most
     * queries see these.
     *
     * @param packed keys, values and the rows of queries, as {@link SplitBackward} has them
     * @param scratch as {@link SplitBackward} has it
     * @param dk out (B,Hkv,Sk,D)
     * @param dv out (B,Hkv,Sk,Dv)
     * @param visited out (B,Hkv,Sk): queries that the key's group went through
     * @param causal 1 with the causal mask, else 0
     */
    public static void keys(KernelContext ctx, HalfFloatArray packed, FloatArray scratch, FloatArray dk, FloatArray dv, FloatArray visited,
            IntArray sizes, FloatArray settings, int D, int Dv, int causal) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(8320); // two tiles of rows, and of columns
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = DIMS;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int paddedSq = SplitRows.paddedKeys(Sq);
        int kvHeads = heads / group;
        int kvHead = ctx.groupIdx % kvHeads;
        int block = ctx.groupIdx / kvHeads;
        int first = block * BLOCK + warp * 16;
        int keyA = first + (lane >> 2);
        // query i sees key j if j - i < ahead
        int ahead = causal != 0 ? 1 + Sk - Sq : EVERY_KEY;
        int tiles = (Sq + QUERIES - 1) / QUERIES;
        int begin = causal != 0 ? Math.min(tiles, Math.max(0, block * BLOCK + 1 - ahead) / QUERIES) : 0;
        int array = heads * paddedSq * stride;
        int rowsAt = SplitBackward.rowsAt(kvHeads, Sk, stride, stride);
        int columnsAt = SplitBackward.columnsAt(heads, kvHeads, Sq, DIMS);
        float scale = settings.get(TileState.SCALE);
        float factor = SplitBackward.keyFactor(scratch, heads, kvHeads, kvHead, Sq, DIMS);
        float factorQ = SplitBackward.queryFactor(scratch, heads, kvHeads, kvHead, Sq, DIMS);
        float factorX = SplitBackward.directionFactor(scratch, heads, kvHeads, kvHead, Sq, DIMS);
        float unit = SplitBackward.gradientUnit(scratch, heads, kvHeads, kvHead, Sq, DIMS);
        float c = scale * LOG2E / (factorQ * factor);
        float typical = TYPICAL_PRODUCT / unit; // of G

        int[] kf = new int[DIMS / 2];
        int[] vf = new int[DIMS / 2];
        int[] b = new int[8];
        int[] we = new int[8];
        int[] wh = new int[8];
        int[] ws = new int[8];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] h = new float[8];
        float[] part = new float[8];
        float[] column = new float[8];
        float[] accK = new float[DIMS / 2];
        float[] accV = new float[DIMS / 2];
        int keyAt = Tile.opaque(TilePieces.FIRST + (kvHead * padded + keyA) * stride + 2 * quad);
        int half = kvHeads * padded * stride;
        SplitBackward.loadRows(kf, packed, keyAt, half, stride, DIMS);
        SplitBackward.loadRows(vf, packed, keyAt + 2 * half, half, stride, DIMS);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);
        int columnAt = base + 32768 + 32 * quad;
        int each = tiles - begin;
        int most = group * each;
        int again = 1;
        float weight = TYPICAL_WEIGHT;
        for (int round = 0; round < SplitBackward.ROUNDS && again != 0; round++) {
            float ce = weight / (factorX * factor);
            float ch = weight / TYPICAL_PRODUCT;
            float cs = weight / typical;
            float csProduct = ce / TYPICAL_PRODUCT;
            float backU = factor / unit / weight;
            float backX = typical / weight / factorX;
            float backQ = scale * typical / weight / factorQ;
            for (int i = 0; i < DIMS / 2; i++) {
                accK[i] = 0f;
                accV[i] = 0f;
            }
            int t = begin;
            int row = kvHead * group * paddedSq + begin * QUERIES; // of the tile that is copied next
            ctx.localBarrier();
            copy(tile, base, base + 32768, packed, rowsAt + row * stride, array, scratch, columnsAt + 4 * row, tid, stride);
            for (int n = 0; n < most; n++) {
                Tile.await(0);
                ctx.localBarrier();
                int odd = n & 1;
                int query = t * QUERIES;
                t++;
                row += QUERIES;
                if (t == tiles) {
                    t = begin;
                    row += paddedSq - each * QUERIES;
                }
                if (n + 1 < most) {
                    copy(tile, base + ((1 - odd) << 14), base + 32768 + ((1 - odd) << 8), packed, rowsAt + row * stride, array, scratch,
                            columnsAt + 4 * row, tid, stride);
                }
                int buffer = odd << 14;
                int columns = columnAt + (odd << 8);
                int whole = first + 15 - query < ahead ? 1 : 0;
                if (whole != 0) {
                    piece(accK, accV, s, e, h, part, column, we, wh, ws, kf, vf, b, tile, scoreAt + buffer, sumAt + buffer, columns, c, ce, ch, cs,
                            csProduct, backU, backX, backQ, 0, EVERY_KEY);
                }
                int hidden = first - query - 15 >= ahead ? 1 : 0;
                int pieces = whole + hidden > 0 ? 0 : 1;
                for (int j = 0; j < pieces; j++) {
                    piece(accK, accV, s, e, h, part, column, we, wh, ws, kf, vf, b, tile, scoreAt + buffer, sumAt + buffer, columns, c, ce, ch, cs,
                            csProduct, backU, backX, backQ, keyA - query - 2 * quad, ahead);
                }
            }
            // where a weight was beyond float16, no sum of its key is finite: again with smaller ones
            int fineA = (Math.abs(accK[0]) <= Float.MAX_VALUE ? 1 : 0) * (Math.abs(accV[0]) < SplitBackward.FINITE ? 1 : 0);
            int fineB = (Math.abs(accK[2]) <= Float.MAX_VALUE ? 1 : 0) * (Math.abs(accV[2]) < SplitBackward.FINITE ? 1 : 0);
            int badA = (1 - fineA) * (keyA < Sk ? 1 : 0);
            int badB = (1 - fineB) * (keyA + 8 < Sk ? 1 : 0);
            again = round + 1 < SplitBackward.ROUNDS ? Tile.count(badA + badB) : 0;
            weight *= again != 0 ? SplitBackward.SHORTER : 1f;
        }

        float backV = SplitBackward.valueFactor(scratch, heads, kvHeads, kvHead, Sq, DIMS) / unit / weight;
        for (int n = 0; n < DIMS / 8; n++) {
            for (int i = 0; i < 4; i++) {
                int key = keyA + 8 * (i >> 1);
                int at = 8 * n + 2 * quad + (i & 1);
                if (key < Sk && at < D) {
                    dk.set((kvHead * Sk + key) * D + at, accK[4 * n + i]);
                }
                if (key < Sk && at < Dv) {
                    dv.set((kvHead * Sk + key) * Dv + at, accV[4 * n + i] * backV);
                }
            }
        }
        if (quad == 0) {
            if (keyA < Sk) {
                visited.set(kvHead * Sk + keyA, most * QUERIES);
            }
            if (keyA + 8 < Sk) {
                visited.set(kvHead * Sk + keyA + 8, most * QUERIES);
            }
        }
    }

    /**
     * Starts this thread's copies of a tile of rows and of columns: first halves of q and of x, second ones, then those of u and of g.
     *
     * @param array from one array of rows to the next, of first and second halves in turn
     */
    private static void copy(int[] tile, int to, int columnsTo, HalfFloatArray packed, int from, int array, FloatArray scratch, int columns, int tid,
            int stride) {
        for (int i = 0; i < 2; i++) {
            int at = to + i * GRADIENTS;
            int rows = from + 4 * i * array;
            TilePieces.copyTile(tile, at, packed, rows, tid, QUERIES, stride);
            TilePieces.copyTile(tile, at + HALF, packed, rows + 2 * array, tid, QUERIES, stride);
            TilePieces.copyTile(tile, at + SplitPieces.LOW_BYTES, packed, rows + array, tid, QUERIES, stride);
            TilePieces.copyTile(tile, at + SplitPieces.LOW_BYTES + HALF, packed, rows + 3 * array, tid, QUERIES, stride);
        }
        if (tid < QUERIES) {
            Tile.copy16(tile, columnsTo + 16 * tid, scratch, columns + 4 * tid);
        }
        Tile.commit();
    }

    /**
     * Adds 16 queries to dk and dv.
     *
     * @param behind key less query of this lane's first element
     */
    private static void piece(float[] accK, float[] accV, float[] s, float[] e, float[] h, float[] part, float[] column, int[] we, int[] wh, int[] ws,
            int[] k, int[] v, int[] b, int[] tile, int scoreAt, int sumAt, int columns, float c, float ce, float ch, float cs, float csProduct, float backU,
            float backX, float backQ, int behind, int ahead) {
        SplitPieces.scores(s, k, b, tile, 0, scoreAt, 0, DIMS);
        SplitPieces.scores(e, k, b, tile, 0, scoreAt, HALF, DIMS);
        SplitPieces.scores(h, k, b, tile, 0, scoreAt, GRADIENTS, DIMS);
        SplitPieces.moreProducts(h, v, b, tile, scoreAt, GRADIENTS + HALF, DIMS);
        for (int n = 0; n < 2; n++) {
            Tile.loadLocal4(column, 0, tile, columns + 128 * n);
            Tile.loadLocal4(column, 4, tile, columns + 128 * n + 16);
            for (int i = 0; i < 4; i++) {
                int at = 4 * n + i;
                int of = 4 * (i & 1);
                float p = Tile.exp2(TilePieces.exponent(s[at], c, column[of], behind + 8 * (i >> 1) - 8 * n - (i & 1), ahead));
                float pe = p * (e[at] + column[of + 1]);
                float hh = h[at] + column[of + 2];
                s[at] = pe * (hh * csProduct) - p * (column[of + 3] * cs);
                e[at] = pe * ce;
                h[at] = p * (hh * ch);
            }
            SplitPieces.splitPairs(we, 2 * n, e[4 * n], e[4 * n + 1], e[4 * n + 2], e[4 * n + 3]);
            SplitPieces.splitPairs(wh, 2 * n, h[4 * n], h[4 * n + 1], h[4 * n + 2], h[4 * n + 3]);
            SplitPieces.splitPairs(ws, 2 * n, s[4 * n], s[4 * n + 1], s[4 * n + 2], s[4 * n + 3]);
        }
        for (int n = 0; n < DIMS / 16; n++) {
            int at = sumAt ^ (n << 5);
            load(b, tile, at + GRADIENTS);
            SplitPieces.part(part, we, b);
            add(accK, 8 * n, part, backU);
            load(b, tile, at);
            SplitPieces.part(part, ws, b);
            add(accK, 8 * n, part, backQ);
            load(b, tile, at + HALF);
            SplitPieces.part(part, wh, b);
            add(accK, 8 * n, part, backX);
            load(b, tile, at + GRADIENTS + HALF);
            SplitPieces.part(part, we, b);
            add(accV, 8 * n, part, 1f);
        }
    }

    static void add(float[] to, int at, float[] part, float times) {
        for (int i = 0; i < 8; i++) {
            to[at + i] += part[i] * times;
        }
    }

    private static void load(int[] b, int[] tile, int at) {
        Tile.load4Transposed(b, 0, tile, at);
        Tile.load4Transposed(b, 4, tile, at + SplitPieces.LOW_BYTES);
    }
}
