package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The ring of tiles that the kernels of {@link TileDecode} read a cache through, and how matrix units read a tile.
 *
 * <p>A tile of {@value #KEYS} keys is in local memory as it is in the cache ({@link CacheLayout#index}), in blocks of 512 bytes: 4 rows of
 * 64 dims, or 2 of 128. Blocks are moved apart so that 8 rows of 16 bytes lie in banks of their own.
 *
 * <pre>
 *   D = 64    piece (row r, chunk c of 8 dims) at (r / 4) 576 + c 64 + (r % 4) 16
 *   D = 128   at (r / 2) 512 + (c / 2) 64 + (r % 2) 32 + (c % 2) 16, and 0, 16, 64, 80 more for each of 4 blocks, 128 for each 4;
 *             in odd blocks 32 more where c is odd
 * </pre>
 *
 * <p>At D = 128 two pieces that lie in the same 32 bytes of memory so change places in odd blocks, and stay in the same 32 bytes.
 */
final class TileRing {
    /** Keys of a tile; splits begin at a multiple of it. */
    static final int KEYS = 32;
    static final int WARPS = 2;
    static final int THREADS = 32 * WARPS;
    /** Bytes behind the ring for what warps tell each other. */
    static final int SHARED = 512;
    /**
     * Byte of local memory that a ring starts at, as an array's header of 16 bytes has it: two copies of 16 bytes read the 32 that they share
     * with a neighbour at once only where both sides are as far from a multiple of 32; else they read everything twice.
     */
    static final int START = 16;

    private TileRing() {}

    /** Bytes of a tile. */
    static int tileBytes(int dim) {
        return dim <= 64 ? KEYS / 4 * 576 : KEYS / 8 * 2176;
    }

    /** Elements of the local array that holds {@code tiles} tiles and what warps tell each other. */
    static int localInts(int tiles, int dim) {
        return (START + tiles * tileBytes(dim) + SHARED) / Integer.BYTES;
    }

    /** Bytes from 16 keys to the next. */
    static int pieceBytes(int dim) {
        return tileBytes(dim) / 2;
    }

    /** Bytes from 16 dims to the next. */
    private static int dimsBytes(int dim) {
        return dim <= 64 ? 128 : 64;
    }

    /** Byte of 16 dims, from that of the first. */
    static int dimsAt(int n, int dim) {
        return n * dimsBytes(dim);
    }

    /** Byte of 16 keys, from that of the first; tiles may follow each other. */
    static int sliceAt(int n, int dim) {
        return n * pieceBytes(dim);
    }

    /** Byte of a row's chunk, 0 or 1, of a piece. */
    private static int rowAt(int row, int chunk, int dim) {
        int block = row >> 1;
        return dim <= 64 ? (row >> 2) * 576 + (row & 3) * 16 + chunk * 64
                : block * 512 + (block & 1) * (16 + 32 * chunk) + (block >> 1 & 1) * 64 + (block >> 2) * 128 + (row & 1) * 32 + 16 * chunk;
    }

    /** Byte of this lane's row for {@code ldmatrix} of keys as B of scores. */
    static int scoreByte(int lane, int dim) {
        return rowAt((lane >> 4) * 8 + (lane & 7), lane >> 3 & 1, dim);
    }

    /** The same for the transposed load, as B of sums. */
    static int sumByte(int lane, int dim) {
        return rowAt((lane >> 3 & 1) * 8 + (lane & 7), lane >> 4, dim);
    }

    /** The pieces of 16 bytes of a block that a thread copies: one before its own, as an array's header of 16 bytes has it. */
    private static int pieceOf(int me) {
        return me + THREADS - 1 & THREADS - 1;
    }

    /** Bytes from a thread's piece to its next, two blocks on. */
    private static int nextPiece(int dim) {
        return dim <= 64 ? 1152 : 1088;
    }

    /** Byte of a tile that a piece of its first two blocks is at. */
    private static int place(int piece, int dim) {
        return (piece & 31) * 16 + (piece >> 5) * (dim <= 64 ? 576 : 528 + (piece & 1) * 32);
    }

    /**
     * Starts a thread's copies of a tile. An array's elements begin 16 bytes behind its header, and lines of 128 bytes with the last piece of
     * a block: where threads copy the pieces of a line, a warp's copies touch 4 lines and not 5. So thread 0 has the last pieces of the blocks
     * of warp 1, of the tile's first two blocks last.
     *
     * @param to {@link Tile#address} of the tile's place
     * @param first element of the tile's first row
     */
    static void copy(int[] ring, int to, HalfFloatArray rows, int first, int me, int dim) {
        int around = 1 - Math.min(me, 1);
        int piece = pieceOf(me);
        int from = first + 8 * piece - around * 512;
        int at = to + place(piece, dim) - around * nextPiece(dim);
        Tile.copy16(ring, at + around * (dim / 16) * nextPiece(dim), rows, from + around * (32 * dim));
        for (int i = 1; i < dim / 16; i++) {
            Tile.copy16(ring, at + i * nextPiece(dim), rows, from + 512 * i);
        }
    }

    /**
     * Rows of a tile that are not there may hold anything; each thread clears what it copied.
     *
     * @param to {@link Tile#address} of the tile's place
     * @param rows how many are there
     */
    static void clear(int[] ring, int to, int rows, int me, int dim) {
        if (rows < KEYS) {
            int piece = pieceOf(me);
            for (int i = 0; i < dim / 16; i++) {
                int block = 2 * i + (piece >> 5);
                int row = dim <= 64 ? 4 * block + (piece & 3) : 2 * block + (piece >> 1 & 1);
                if (row >= rows) {
                    // not ring[at] = 0: TornadoVM takes a byte for the element there, and writes far behind the array
                    Tile.storeLocal2(ring, to + place(piece, dim) + i * nextPiece(dim), 0f, 0f);
                    Tile.storeLocal2(ring, to + place(piece, dim) + i * nextPiece(dim) + 8, 0f, 0f);
                }
            }
        }
    }

    /** s = q k^T, 16 x 16; {@code at} is the address of this lane's row of 16 keys. */
    static void scores(float[] s, int[] q, int[] b, int[] ring, int at, int dim) {
        Tile.load4(b, 0, ring, at);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        for (int i = 1; i < dim / 16; i++) {
            Tile.load4(b, 0, ring, at + i * dimsBytes(dim));
            Tile.mma(s, 0, q, 4 * i, b, 0);
            Tile.mma(s, 4, q, 4 * i, b, 2);
        }
    }

    /** s = q k^T and p = y k^T. */
    static void products(float[] s, float[] p, int[] q, int[] y, int[] b, int[] ring, int at, int dim) {
        Tile.load4(b, 0, ring, at);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        Tile.mmaFromZero(p, 0, y, 0, b, 0);
        Tile.mmaFromZero(p, 4, y, 0, b, 2);
        for (int i = 1; i < dim / 16; i++) {
            Tile.load4(b, 0, ring, at + i * dimsBytes(dim));
            Tile.mma(s, 0, q, 4 * i, b, 0);
            Tile.mma(s, 4, q, 4 * i, b, 2);
            Tile.mma(p, 0, y, 4 * i, b, 0);
            Tile.mma(p, 4, y, 4 * i, b, 2);
        }
    }

    /** acc += w K. */
    static void sums(float[] acc, int[] w, int[] b, int[] ring, int at, int dim) {
        for (int n = 0; n < dim / 16; n++) {
            Tile.load4Transposed(b, 0, ring, at + n * dimsBytes(dim));
            Tile.mma(acc, 8 * n, w, 0, b, 0);
            Tile.mma(acc, 8 * n + 4, w, 0, b, 2);
        }
    }

    /**
     * A vector over its largest element as A, row g its larger halves and row g + 8 the others.
     *
     * @param common out: its product with the sequence's first key
     * @return its largest element
     */
    static float factor(int[] fragment, float[] common, FloatArray from, int at, HalfFloatArray k, int sequence, int quad, int dim) {
        float largest = 0f;
        float sum = 0f;
        for (int n = 0; n < dim / 8; n++) {
            for (int h = 0; h < 2; h++) {
                int d = 8 * n + 2 * quad + h;
                float x = from.get(at + d);
                largest = Math.max(largest, Math.abs(x));
                sum += x * k.get(CacheLayout.index(sequence, d, dim)).getFloat32();
            }
        }
        largest = TilePieces.quadMax(largest);
        common[0] = TilePieces.quadSum(sum);
        float inverse = largest > 0f ? 1f / largest : 0f;
        for (int n = 0; n < dim / 8; n++) {
            int d = 8 * n + 2 * quad;
            halves(fragment, 2 * n, from.get(at + d) * inverse, from.get(at + d + 1) * inverse);
        }
        return largest;
    }

    /** Two numbers as float16, and what that leaves of them. */
    static void halves(int[] fragment, int at, float first, float second) {
        int pair = Tile.half2(first, second);
        fragment[at] = pair;
        fragment[at + 1] = Tile.half2(first - Tile.low(pair), second - Tile.high(pair));
    }

    /** A warp's sums to local memory, 8 rows of D floats; both halves of a row added. */
    static void spread(int[] ring, int to, float[] acc, int row, int quad, int dim) {
        for (int n = 0; n < dim / 8; n++) {
            Tile.storeLocal2(ring, to + row * (4 * dim) + (8 * n + 2 * quad) * 4, acc[4 * n] + acc[4 * n + 2], acc[4 * n + 1] + acc[4 * n + 3]);
        }
    }
}
