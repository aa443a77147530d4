package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * dk and dv of the float16 backward pass: a warp has 16 keys, and the queries that see them pass by in tiles.
 *
 * <pre>
 *   dk = sum scale p (e h - mu) q + p e u + p h (-x)    dv = sum p e g
 * </pre>
 *
 * <p>Four products and four sums. Rows of fragments are keys and columns are queries, so what a query needs, its column, is read from
 * local memory. No atomics: a key's gradient is summed by one warp in a fixed order, over the heads of its group, too.
 */
public final class TileBackwardKeys {

    private TileBackwardKeys() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} keys of a kv head, the first keys first, since most
     * queries see these.
     *
     * @param packed keys, values and the rows of queries
     * @param scratch as {@link TileBackward} has it
     * @param dk out (B,Hkv,Sk,D)
     * @param dv out (B,Hkv,Sk,Dv)
     * @param visited out (B,Hkv,Sk): queries that the key's group went through
     */
    public static void keys(KernelContext ctx, HalfFloatArray packed, FloatArray scratch, FloatArray dk, FloatArray dv, FloatArray visited,
            IntArray sizes, FloatArray settings, int D, int Dv, int dims) {
        Tile.launchBounds(THREADS, dims <= 64 ? 3 : 2);
        int[] tile = ctx.allocateIntLocalArray(10496); // two tiles of q, -x, u and g, two of columns, one of what is left of -x and of u
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int queries = 2048 / stride; // of a tile
        int pieceBytes = 32 * stride;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = sizes.get(TileState.PADDED_SK);
        int causal = sizes.get(TileState.CAUSAL);
        int kvHeads = heads / group;
        int paddedSq = TileBackward.paddedRows(Sq);
        int kvHead = ctx.groupIdx % kvHeads;
        int block = ctx.groupIdx / kvHeads;
        int first = block * BLOCK + warp * 16;
        int keyA = first + (lane >> 2);
        // query i sees key j if j - i < ahead
        int ahead = causal != 0 ? 1 + Sk - Sq : EVERY_KEY;
        int tiles = (Sq + queries - 1) / queries;
        int begin = causal != 0 ? Math.min(tiles, Math.max(0, block * BLOCK + 1 - ahead) / queries) : 0;
        float c = settings.get(TileState.SCALE) * LOG2E;
        float scale = settings.get(TileState.SCALE);
        int array = heads * paddedSq * stride;
        int rowsAt = TileBackward.rowsAt(0, heads, group, Sq, padded, stride);
        int columnsAt = TileBackward.columnsAt(heads, Sq, dims);

        int[] kf = new int[dims / 4];
        int[] vf = new int[dims / 4];
        int[] b = new int[4];
        int[] we = new int[4];
        int[] wh = new int[4];
        int[] ws = new int[4];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] h = new float[8];
        float[] column = new float[16];
        float[] accK = new float[dims / 2];
        float[] accV = new float[dims / 2];
        int keyAt = Tile.opaque(TilePieces.FIRST + (kvHead * padded + keyA) * stride + 2 * quad);
        int valueAt = keyAt + kvHeads * padded * stride;
        TileBackward.loadRows(kf, packed, keyAt, keyAt + 8 * stride, dims);
        TileBackward.loadRows(vf, packed, valueAt, valueAt + 8 * stride, dims);
        for (int i = 0; i < dims / 2; i++) {
            accK[i] = 0f;
            accV[i] = 0f;
        }
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);
        int columnAt = base + 32768 + 32 * quad;
        int longAt = TileBackward.longAt(heads, Sq, dims);
        float both = 0f;
        float nextBoth = 0f;

        int each = tiles - begin;
        int most = group * each;
        int t = begin;
        int row = kvHead * group * paddedSq + begin * queries; // of the tile that is copied next
        if (most > 0) {
            nextBoth = scratch.get(longAt + row / BLOCK);
            copy(tile, base, base + 32768, packed, rowsAt + row * stride, array, scratch, columnsAt + 4 * row, tid, queries, stride);
            Tile.commit();
        }
        for (int n = 0; n < most; n++) {
            Tile.await(0);
            ctx.localBarrier();
            int odd = n & 1;
            both = nextBoth;
            int left = rowsAt + TileBackward.LEFT_X_ROWS * array + row * stride;
            int query = t * queries;
            t++;
            row += queries;
            if (t == tiles) {
                t = begin;
                row += paddedSq - each * queries;
            }
            if (n + 1 < most) {
                nextBoth = scratch.get(longAt + row / BLOCK);
                copy(tile, base + ((1 - odd) << 14), base + 32768 + ((1 - odd) << 9), packed, rowsAt + row * stride, array, scratch,
                        columnsAt + 4 * row, tid, queries, stride);
                Tile.commit();
            }
            if (both > 0f) { // the same in all threads
                TilePieces.copyTile(tile, base + 33792, packed, left, tid, queries, stride);
                TilePieces.copyTile(tile, base + 37888, packed, left + array, tid, queries, stride);
                Tile.commit();
                Tile.await(0);
                ctx.localBarrier();
            }
            int buffer = odd << 14;
            int columns = columnAt + (odd << 9);
            // one comparison: TornadoVM prints the opposite of two joined by "or" wrongly
            int limit = both > 0f ? Integer.MIN_VALUE : ahead;
            int whole = first + 15 - query < limit ? 1 : 0;
            if (whole != 0) {
                piece(accK, accV, s, e, h, column, we, wh, ws, kf, vf, b, tile, scoreAt + buffer, sumAt + buffer, 0, columns, c, scale, 0, EVERY_KEY, dims);
                if (queries > 16) {
                    piece(accK, accV, s, e, h, column, we, wh, ws, kf, vf, b, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, columns + 256, c,
                            scale, 0, EVERY_KEY, dims);
                }
            }
            int pieces = whole != 0 ? 0 : queries / 16;
            for (int j = 0; j < pieces; j++) {
                products(s, e, h, kf, vf, b, tile, scoreAt + buffer, j * pieceBytes, dims);
                if (both > 0f) {
                    TilePieces.moreProducts(e, kf, b, tile, scoreAt, 33792 + j * pieceBytes, dims);
                    TilePieces.moreProducts(h, kf, b, tile, scoreAt, 37888 + j * pieceBytes, dims);
                }
                sum(accK, accV, s, e, h, column, we, wh, ws, b, tile, sumAt + buffer, j * pieceBytes, columns + 256 * j, c, scale,
                        keyA - query - 16 * j - 2 * quad, ahead, dims);
            }
        }

        float back = TileBackward.UNSHIFT * Tile.exp2(-TileBackward.gradientShift(scratch, kvHead * group, group, heads, Sq, dims, lane));
        for (int n = 0; n < dims / 8; n++) {
            for (int i = 0; i < 4; i++) {
                int key = keyA + 8 * (i >> 1);
                int at = TileRows.column(n, quad) + (i & 1);
                if (key < Sk && at < D) {
                    dk.set((kvHead * Sk + key) * D + at, accK[4 * n + i] * back);
                }
                if (key < Sk && at < Dv) {
                    dv.set((kvHead * Sk + key) * Dv + at, accV[4 * n + i] * back);
                }
            }
        }
        if (quad == 0) {
            if (keyA < Sk) {
                visited.set(kvHead * Sk + keyA, most * queries);
            }
            if (keyA + 8 < Sk) {
                visited.set(kvHead * Sk + keyA + 8, most * queries);
            }
        }
    }

    /** Starts this thread's copies of a tile of rows and of columns. */
    private static void copy(int[] tile, int to, int columnsTo, HalfFloatArray packed, int from, int array, FloatArray scratch, int columns,
            int tid, int queries, int stride) {
        TilePieces.copyTile(tile, to, packed, from, tid, queries, stride);
        TilePieces.copyTile(tile, to + 4096, packed, from + array, tid, queries, stride);
        TilePieces.copyTile(tile, to + 8192, packed, from + 2 * array, tid, queries, stride);
        TilePieces.copyTile(tile, to + 12288, packed, from + 3 * array, tid, queries, stride);
        if (tid < queries) {
            Tile.copy16(tile, columnsTo + 16 * tid, scratch, columns + 4 * tid);
        }
    }

    /**
     * Adds 16 queries to dk and dv.
     *
     * @param behind key less query of this lane's first element
     */
    private static void piece(float[] accK, float[] accV, float[] s, float[] e, float[] h, float[] column, int[] we, int[] wh, int[] ws,
            int[] k, int[] v, int[] b, int[] tile, int scoreAt, int sumAt, int offset, int columns, float c, float scale, int behind, int ahead,
            int dims) {
        products(s, e, h, k, v, b, tile, scoreAt, offset, dims);
        sum(accK, accV, s, e, h, column, we, wh, ws, b, tile, sumAt, offset, columns, c, scale, behind, ahead, dims);
    }

    private static void products(float[] s, float[] e, float[] h, int[] k, int[] v, int[] b, int[] tile, int scoreAt, int offset, int dims) {
        TilePieces.scores(s, k, b, tile, scoreAt, offset, dims);
        TilePieces.scores(e, k, b, tile, scoreAt, offset + 4096, dims);
        TilePieces.scores(h, k, b, tile, scoreAt, offset + 8192, dims);
        TilePieces.moreProducts(h, v, b, tile, scoreAt, offset + 12288, dims);
    }

    private static void sum(float[] accK, float[] accV, float[] s, float[] e, float[] h, float[] column, int[] we, int[] wh, int[] ws, int[] b,
            int[] tile, int sumAt, int offset, int columns, float c, float scale, int behind, int ahead, int dims) {
        for (int n = 0; n < 2; n++) {
            Tile.loadLocal4(column, 8 * n, tile, columns + 128 * n);
            Tile.loadLocal4(column, 8 * n + 4, tile, columns + 128 * n + 16);
        }
        for (int n = 0; n < 2; n++) {
            for (int i = 0; i < 4; i++) {
                int at = 4 * n + i;
                int col = 8 * n + 4 * (i & 1);
                float p = Tile.exp2(TilePieces.exponent(s[at], c, column[col], behind + 8 * (i >> 1) - 8 * n - (i & 1), ahead));
                float pe = p * (e[at] + column[col + 1]);
                float hh = h[at] + column[col + 2];
                s[at] = scale * (pe * hh - p * column[col + 3]);
                e[at] = pe;
                h[at] = p * hh;
            }
            for (int i = 0; i < 2; i++) {
                int at = 4 * n + 2 * i;
                we[2 * n + i] = Tile.half2(e[at], e[at + 1]);
                wh[2 * n + i] = Tile.half2(h[at], h[at + 1]);
                ws[2 * n + i] = Tile.half2(s[at], s[at + 1]);
            }
        }
        TilePieces.sums(accK, we, b, tile, sumAt, offset + 8192, dims);
        TilePieces.sums(accV, we, b, tile, sumAt, offset + 12288, dims);
        TilePieces.sums(accK, ws, b, tile, sumAt, offset, dims);
        TilePieces.sums(accK, wh, b, tile, sumAt, offset + 4096, dims);
    }
}
