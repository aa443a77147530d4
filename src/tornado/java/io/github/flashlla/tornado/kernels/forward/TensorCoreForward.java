package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TensorCoreTiles.BLOCK;
import static io.github.flashlla.tornado.kernels.forward.TensorCoreTiles.NEXT_ROW;
import static io.github.flashlla.tornado.kernels.forward.TensorCoreTiles.PRODUCT;
import static io.github.flashlla.tornado.kernels.forward.TensorCoreTiles.TILE;
import static io.github.flashlla.tornado.kernels.forward.TensorCoreTiles.TILES;

import io.github.flashlla.tornado.kernels.tile.Fragments;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * The three FlashLLA passes on half-precision matrix units (CUDA, compute capability 8.0 on), for head dims up to 64: products of
 * float16 with sums in float32.
 *
 * <p>A work-group of 4 warps takes one block of 64 queries of one head after another; a warp holds 16 of them and shares the key
 * tiles (64 keys) with the others. For each tile a warp multiplies its queries, and the direction y of conjugate gradients, with the keys; turns both
 * products into weights w in float32; and multiplies w, rounded to float16, with the keys or values:
 *
 * <pre>
 *   S (16 x 64) = q k^T    U (16 x 64) = y k^T    w = p (alpha + beta (U - y.kbar))    sum += w K
 * </pre>
 *
 * <p>TornadoVM's fragments cannot be read, only stored in a known layout: a lane stores its elements of S and of U to local memory ({@link Fragments#stored})
 * and reads them back, which costs the stores alone. What a sweep leaves goes through a scratch area of the warp in global memory ({@link TensorCoreRows}).
 * Row sums of the rounded w come from one more product, with ones. The rounding of y is part of the direction: it costs iterations and not accuracy.
 *
 * <pre>
 *   pass      1 softmax   2 solve   3 output; one loop over sweeps, in which each is a mode
 *   group     128 threads, 4 warps; block 64 queries; tile 64 keys
 *   registers fragments; 168, no spills (nvcc 13, sm_90)
 *   for       float16 on CUDA, D and Dv to 64, no preconditioner
 *   measured  docs/kernels/tensor-cores.md
 * </pre>
 */
public final class TensorCoreForward {
    /** Work-groups that a multiprocessor of compute capability 9.0 holds at once, by registers. */
    public static final int GROUPS_PER_UNIT = 3;
    /** Floats of scratch for a work-group: row sums, A y, residual and y of each warp. */
    public static final int SCRATCH = 4 * 4 * 16 * TensorCoreTiles.MAX_DIM;

    /** Tiles looked at for a first idea of the largest score. */
    private static final int SAMPLES = 8;
    /** How far the largest score may lie above that: float16 ends at e^11. */
    private static final float MARGIN = 10f;

    // what a sweep over the keys is for
    private static final int MEAN = 1;
    private static final int SOLVE = 2;
    private static final int OUTPUT = 3;
    private static final int DONE = 4;

    private TensorCoreForward() {}

    /** Bytes of local memory. */
    public static int localBytes() {
        return (2 * TILE + 4 * 512 + 64) * Integer.BYTES + (3 * 256 + TensorCoreRows.STATE + Fragments.HEADER + 4 * PRODUCT) * Float.BYTES;
    }

    /**
     * Launched as any number of groups of {@value TensorCoreTiles#THREADS}; each takes blocks of queries, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param tiles from {@link TensorCoreTiles#pack}
     * @param ridge (B,H,Sq)
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D)
     * @param stats out (B,H,Sq,2): iterations, relative residual
     * @param scratch {@value #SCRATCH} for each group
     * @param group query heads per key/value head
     */
    public static void forward(KernelContext ctx, FloatArray q, HalfFloatArray tiles, FloatArray ridge, FloatArray o, FloatArray lse,
            FloatArray kbar, FloatArray x, FloatArray stats, FloatArray scratch, int group, int Sq, int Sk, int D, int Dv,
            float scale, int flags, float tol, int maxIterations) {
        int[] tile = ctx.allocateIntLocalArray(2 * TILE); // two buffers of two tiles
        int[] wt = ctx.allocateIntLocalArray(4 * 512); // w, or y, of each warp: 16 x 64, as 4 blocks of 16 x 16
        int[] ones = ctx.allocateIntLocalArray(64);
        float[] red = ctx.allocateFloatLocalArray(3 * 256);
        float[] state = ctx.allocateFloatLocalArray(TensorCoreRows.STATE);
        float[] products = ctx.allocateFloatLocalArray(Fragments.HEADER + 4 * PRODUCT); // of S or U, 16 x 8, of each warp
        FloatArray blockOut = Fragments.stored(products);

        int tid = ctx.localIdx;
        int warp = tid >> 5;
        int lane = tid & 31;
        int quad = lane & 3;
        int rowA = warp * 16 + (lane >> 2); // this lane holds rows rowA and rowA + 8, and columns 8 n + 2 quad + {0, 1}
        int atA = rowA * 4; // in red
        int atB = atA + 32;
        int own = ((lane >> 2) << 3) + (quad << 1); // of this lane, in an area of 8 blocks of 16 x 8
        int areaS = (ctx.groupIdx * 4 + warp) * 4096;
        int wtBytes = warp * 2048;
        // a lane's four elements of S or U lie together in local memory, in other banks than those of any other lane
        int blockRow = -(lane >> 2);
        int blockColumn = warp * PRODUCT + 2 * lane + (lane >> 4) - 2 * quad;
        int mine = Fragments.HEADER + warp * PRODUCT + 2 * lane + (lane >> 4);

        // 8 and 4; no constants to the compilers, which would unroll, and take twice the registers for half the warps
        int parts = 8 + (ctx.groupIdx >> 30);
        int pairs = 4 + (ctx.groupIdx >> 30);

        int heads = lse.getSize() / Sq;
        int blocks = (Sq + BLOCK - 1) / BLOCK;
        int groups = scratch.getSize() / SCRATCH;
        int rounds = (heads * blocks + groups - 1) / groups;
        int keyTiles = (Sk + BLOCK - 1) / BLOCK;

        if (tid < 64) {
            ones[tid] = 0x3C003C00; // two float16 ones
        }
        for (int round = 0; round < rounds; round++) {
            // there and back over the groups: each gets as many long blocks as short ones
            int place = round * groups + ((round & 1) == 0 ? ctx.groupIdx : groups - 1 - ctx.groupIdx);
            if (place < heads * blocks) {
                int head = place % heads;
                int i0 = (blocks - 1 - place / heads) * BLOCK;
                int row0 = head * Sq;
                int iA = i0 + rowA;
                int iB = iA + 8;
                int seesA = Masking.visibleOrNone(iA, Sq, Sk, flags);
                int seesB = Masking.visibleOrNone(iB, Sq, Sk, flags);
                int sweep = (Masking.visibleOrNone(Math.min(i0 + BLOCK, Sq) - 1, Sq, Sk, flags) + BLOCK - 1) / BLOCK;
                int full = Masking.visibleOrNone(i0, Sq, Sk, flags) / BLOCK; // tiles that every row sees whole
                int tiles0 = (head / group) * keyTiles;

                ctx.localBarrier();
                for (int n = lane; n < 512; n += 32) {
                    int i = i0 + warp * 16 + ((n & 127) >> 3);
                    int d = ((n >> 7) << 4) + ((n & 7) << 1);
                    wt[warp * 512 + n] = Fragments.packed(TensorCoreTiles.query(q, row0, i, Sq, d, D), TensorCoreTiles.query(q, row0, i, Sq, d + 1, D));
                }
                ctx.localBarrier();
                HalfFloat[] q0 = ctx.mmaLoadA(wt, 16, wtBytes);
                HalfFloat[] q1 = ctx.mmaLoadA(wt, 16, wtBytes + 512);
                HalfFloat[] q2 = ctx.mmaLoadA(wt, 16, wtBytes + 1024);
                HalfFloat[] q3 = ctx.mmaLoadA(wt, 16, wtBytes + 1536);
                HalfFloat[] one = ctx.mmaLoadB(ones, 16, 0);

                // near the largest score: the largest of a few tiles, the last among them
                float mA = Masking.LOW;
                float mB = Masking.LOW;
                int samples = Math.min(sweep, SAMPLES);
                for (int n = 0; n < samples; n++) {
                    int t = (n + 1) * sweep / samples - 1;
                    ctx.localBarrier();
                    TensorCoreTiles.copyTile(ctx, tile, tid, tiles, (tiles0 + t) * TILES * TILE);
                    ctx.asyncCopyCommit();
                    ctx.asyncCopyWaitGroup(0);
                    ctx.localBarrier();
                    for (int c = 0; c < parts; c++) {
                        TensorCoreTiles.products(ctx, tile, c * 256, q0, q1, q2, q3, blockOut, blockRow, blockColumn);
                        int j = t * BLOCK + c * 8 + (quad << 1);
                        mA = Math.max(mA, scale * products[mine] + Fragments.hidden(j, seesA));
                        mA = Math.max(mA, scale * products[mine + 1] + Fragments.hidden(j + 1, seesA));
                        mB = Math.max(mB, scale * products[mine + NEXT_ROW] + Fragments.hidden(j, seesB));
                        mB = Math.max(mB, scale * products[mine + NEXT_ROW + 1] + Fragments.hidden(j + 1, seesB));
                    }
                }
                red[atA + quad] = mA;
                red[atB + quad] = mB;
                ctx.localBarrier();
                mA = Math.max(Math.max(red[atA], red[atA + 1]), Math.max(red[atA + 2], red[atA + 3]));
                mB = Math.max(Math.max(red[atB], red[atB + 1]), Math.max(red[atB + 2], red[atB + 3]));

                // kept in local memory during sweeps, where registers are short
                for (int n = rowA; n < TensorCoreRows.STATE; n += BLOCK) {
                    state[n] = 0f;
                    state[n + 8] = 0f;
                }
                int iteration = 0;
                int mode = MEAN;
                for (int n = 0; n < 16; n++) {
                    wt[warp * 512 + n * 32 + lane] = 0;
                }

                while (mode != DONE) {
                    int values = (mode == OUTPUT ? 2 : 1) * TILE;
                    float alpha = mode == SOLVE ? 0f : 1f;
                    float betaA = mode == MEAN ? 0f : mode == SOLVE ? 1f : -state[TensorCoreRows.SIZE + rowA];
                    float betaB = mode == MEAN ? 0f : mode == SOLVE ? 1f : -state[TensorCoreRows.SIZE + rowA + 8];
                    float offsetA = alpha - betaA * state[TensorCoreRows.YK + rowA];
                    float offsetB = alpha - betaB * state[TensorCoreRows.YK + rowA + 8];
                    float topA = Masking.LOW;
                    float topB = Masking.LOW;
                    ctx.localBarrier();
                    HalfFloat[] y0 = ctx.mmaLoadA(wt, 16, wtBytes);
                    HalfFloat[] y1 = ctx.mmaLoadA(wt, 16, wtBytes + 512);
                    HalfFloat[] y2 = ctx.mmaLoadA(wt, 16, wtBytes + 1024);
                    HalfFloat[] y3 = ctx.mmaLoadA(wt, 16, wtBytes + 1536);
                    float[] a0 = ctx.mmaFragment(0f);
                    float[] a1 = ctx.mmaFragment(0f);
                    float[] a2 = ctx.mmaFragment(0f);
                    float[] a3 = ctx.mmaFragment(0f);
                    float[] a4 = ctx.mmaFragment(0f);
                    float[] a5 = ctx.mmaFragment(0f);
                    float[] a6 = ctx.mmaFragment(0f);
                    float[] a7 = ctx.mmaFragment(0f);
                    float[] total = ctx.mmaFragment(0f);
                    TensorCoreTiles.copyTile(ctx, tile, tid, tiles, tiles0 * TILES * TILE);
                    TensorCoreTiles.copyTile(ctx, tile, TILE / 2 + tid, tiles, tiles0 * TILES * TILE + values);
                    ctx.asyncCopyCommit();
                    for (int t = 0; t < sweep; t++) {
                        int buffer = (t & 1) * TILE;
                        ctx.asyncCopyWaitGroup(0);
                        ctx.localBarrier();
                        if (t + 1 < sweep) {
                            int from = (tiles0 + t + 1) * TILES * TILE;
                            TensorCoreTiles.copyTile(ctx, tile, TILE - buffer + tid, tiles, from);
                            TensorCoreTiles.copyTile(ctx, tile, TILE - buffer + TILE / 2 + tid, tiles, from + values);
                        }
                        ctx.asyncCopyCommit();
                        int slot = warp * 512 + (lane >> 2) * 8 + quad;
                        int j = t * BLOCK + (quad << 1);
                        for (int n = 0; n < pairs; n++) { // two blocks of keys at a time: what one waits for, the other computes
                            int key = j + n * 16;
                            int at = buffer * 4 + n * 512;
                            HalfFloat[] k0 = ctx.mmaLoadB(tile, 16, at);
                            HalfFloat[] k1 = ctx.mmaLoadB(tile, 16, at + 2048);
                            HalfFloat[] k2 = ctx.mmaLoadB(tile, 16, at + 4096);
                            HalfFloat[] k3 = ctx.mmaLoadB(tile, 16, at + 6144);
                            HalfFloat[] k4 = ctx.mmaLoadB(tile, 16, at + 256);
                            HalfFloat[] k5 = ctx.mmaLoadB(tile, 16, at + 2304);
                            HalfFloat[] k6 = ctx.mmaLoadB(tile, 16, at + 4352);
                            HalfFloat[] k7 = ctx.mmaLoadB(tile, 16, at + 6400);
                            TensorCoreTiles.product(ctx, q0, q1, q2, q3, k0, k1, k2, k3, blockOut, blockRow, blockColumn);
                            float w0 = scale * products[mine];
                            float w1 = scale * products[mine + 1];
                            float w2 = scale * products[mine + NEXT_ROW];
                            float w3 = scale * products[mine + NEXT_ROW + 1];
                            TensorCoreTiles.product(ctx, q0, q1, q2, q3, k4, k5, k6, k7, blockOut, blockRow, blockColumn);
                            float w4 = scale * products[mine];
                            float w5 = scale * products[mine + 1];
                            float w6 = scale * products[mine + NEXT_ROW];
                            float w7 = scale * products[mine + NEXT_ROW + 1];
                            float u0 = 0f;
                            float u1 = 0f;
                            float u2 = 0f;
                            float u3 = 0f;
                            float u4 = 0f;
                            float u5 = 0f;
                            float u6 = 0f;
                            float u7 = 0f;
                            if (mode == MEAN) {
                                topA = Math.max(topA, TensorCoreRows.largest(w0, w1, w4, w5, key, seesA));
                                topB = Math.max(topB, TensorCoreRows.largest(w2, w3, w6, w7, key, seesB));
                            } else {
                                TensorCoreTiles.product(ctx, y0, y1, y2, y3, k0, k1, k2, k3, blockOut, blockRow, blockColumn);
                                u0 = products[mine];
                                u1 = products[mine + 1];
                                u2 = products[mine + NEXT_ROW];
                                u3 = products[mine + NEXT_ROW + 1];
                                TensorCoreTiles.product(ctx, y0, y1, y2, y3, k4, k5, k6, k7, blockOut, blockRow, blockColumn);
                                u4 = products[mine];
                                u5 = products[mine + 1];
                                u6 = products[mine + NEXT_ROW];
                                u7 = products[mine + NEXT_ROW + 1];
                            }
                            w0 = TornadoMath.exp(w0 - mA) * (offsetA + betaA * u0);
                            w1 = TornadoMath.exp(w1 - mA) * (offsetA + betaA * u1);
                            w2 = TornadoMath.exp(w2 - mB) * (offsetB + betaB * u2);
                            w3 = TornadoMath.exp(w3 - mB) * (offsetB + betaB * u3);
                            w4 = TornadoMath.exp(w4 - mA) * (offsetA + betaA * u4);
                            w5 = TornadoMath.exp(w5 - mA) * (offsetA + betaA * u5);
                            w6 = TornadoMath.exp(w6 - mB) * (offsetB + betaB * u6);
                            w7 = TornadoMath.exp(w7 - mB) * (offsetB + betaB * u7);
                            if (t >= full) {
                                w0 = key < seesA ? w0 : 0f;
                                w1 = key + 1 < seesA ? w1 : 0f;
                                w2 = key < seesB ? w2 : 0f;
                                w3 = key + 1 < seesB ? w3 : 0f;
                                w4 = key + 8 < seesA ? w4 : 0f;
                                w5 = key + 9 < seesA ? w5 : 0f;
                                w6 = key + 8 < seesB ? w6 : 0f;
                                w7 = key + 9 < seesB ? w7 : 0f;
                            }
                            int to = slot + n * 128;
                            wt[to] = Fragments.packed(w0, w1);
                            wt[to + 64] = Fragments.packed(w2, w3);
                            wt[to + 4] = Fragments.packed(w4, w5);
                            wt[to + 68] = Fragments.packed(w6, w7);
                        }
                        ctx.localBarrier();
                        for (int c = 0; c < 4; c++) {
                            int block = (buffer + TILE / 2) * 4 + c * 2048;
                            HalfFloat[] w = ctx.mmaLoadA(wt, 16, wtBytes + c * 512);
                            a0 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block), a0, MMAShape.M16N8K16);
                            a1 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 256), a1, MMAShape.M16N8K16);
                            a2 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 512), a2, MMAShape.M16N8K16);
                            a3 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 768), a3, MMAShape.M16N8K16);
                            a4 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 1024), a4, MMAShape.M16N8K16);
                            a5 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 1280), a5, MMAShape.M16N8K16);
                            a6 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 1536), a6, MMAShape.M16N8K16);
                            a7 = ctx.mma(w, ctx.mmaLoadB(tile, 16, block + 1792), a7, MMAShape.M16N8K16);
                            total = ctx.mma(w, one, total, MMAShape.M16N8K16);
                        }
                    }
                    ctx.mmaStore(total, scratch, 0, areaS, 8);
                    Fragments.store(ctx, a0, a1, a2, a3, a4, a5, a6, a7, scratch, areaS + TensorCoreRows.SUMS);
                    float totalA = scratch.get(areaS + own);
                    float totalB = scratch.get(areaS + own + 64);
                    float lA = state[TensorCoreRows.WEIGHT + rowA];
                    float sizeA = state[TensorCoreRows.SIZE + rowA];
                    float rrA = state[TensorCoreRows.RR + rowA];
                    float bbA = state[TensorCoreRows.BB + rowA];
                    float residualA = state[TensorCoreRows.RESIDUAL + rowA];
                    float countA = state[TensorCoreRows.COUNT + rowA];
                    float lB = state[TensorCoreRows.WEIGHT + rowA + 8];
                    float sizeB = state[TensorCoreRows.SIZE + rowA + 8];
                    float rrB = state[TensorCoreRows.RR + rowA + 8];
                    float bbB = state[TensorCoreRows.BB + rowA + 8];
                    float residualB = state[TensorCoreRows.RESIDUAL + rowA + 8];
                    float countB = state[TensorCoreRows.COUNT + rowA + 8];

                    int next = mode;
                    if (mode == MEAN) {
                        red[atA + quad] = topA;
                        red[atB + quad] = topB;
                        ctx.localBarrier();
                        topA = Math.max(Math.max(red[atA], red[atA + 1]), Math.max(red[atA + 2], red[atA + 3]));
                        topB = Math.max(Math.max(red[atB], red[atB + 1]), Math.max(red[atB + 2], red[atB + 3]));
                        red[256 + tid] = Math.max(topA - mA, topB - mB);
                        ctx.localBarrier();
                        float over = 0f;
                        for (int n = 0; n < TensorCoreTiles.THREADS; n++) {
                            over = Math.max(over, red[256 + n]);
                        }
                        // weights are taken from the largest score from here on
                        lA = totalA * TornadoMath.exp(mA - topA);
                        lB = totalB * TornadoMath.exp(mB - topB);
                        mA = topA;
                        mB = topB;
                        next = over > MARGIN ? MEAN : SOLVE;
                    }
                    if (mode == MEAN && next == SOLVE) {
                        // kbar; b = kbar - q is the first residual
                        red[atA + quad] = TensorCoreRows.beginSolve(scratch, areaS, own, quad, iA, lA, totalA, row0, Sq, D, q, kbar, x);
                        red[atB + quad] = TensorCoreRows.beginSolve(scratch, areaS, own + 64, quad, iB, lB, totalB, row0, Sq, D, q, kbar, x);
                        ctx.localBarrier();
                        bbA = ((red[atA] + red[atA + 1]) + (red[atA + 2] + red[atA + 3]));
                        bbB = ((red[atB] + red[atB + 1]) + (red[atB + 2] + red[atB + 3]));
                        rrA = bbA;
                        rrB = bbB;
                        residualA = bbA > 0f ? 1f : 0f;
                        residualB = bbB > 0f ? 1f : 0f;
                    }
                    float momentumA = 0f;
                    float momentumB = 0f;
                    if (mode == SOLVE) {
                        // A y = (sum w k - (sum w) kbar) / l + ridge y
                        float partA = TensorCoreRows.applyA(scratch, areaS, own, quad, iA, lA, totalA, row0, Sq, D, kbar, ridge);
                        float partB = TensorCoreRows.applyA(scratch, areaS, own + 64, quad, iB, lB, totalB, row0, Sq, D, kbar, ridge);
                        ctx.localBarrier();
                        red[atA + quad] = partA;
                        red[atB + quad] = partB;
                        red[256 + atA + quad] = TensorCoreRows.product(scratch, areaS, own);
                        red[256 + atB + quad] = TensorCoreRows.product(scratch, areaS, own + 64);
                        ctx.localBarrier();
                        float yAyA = ((red[atA] + red[atA + 1]) + (red[atA + 2] + red[atA + 3]));
                        float yAyB = ((red[atB] + red[atB + 1]) + (red[atB + 2] + red[atB + 3]));
                        float stepA = residualA > tol && yAyA > 0f ? ((red[256 + atA] + red[256 + atA + 1]) + (red[256 + atA + 2] + red[256 + atA + 3])) / yAyA : 0f;
                        float stepB = residualB > tol && yAyB > 0f ? ((red[256 + atB] + red[256 + atB + 1]) + (red[256 + atB + 2] + red[256 + atB + 3])) / yAyB : 0f;
                        red[512 + atA + quad] = TensorCoreRows.step(scratch, areaS, own, quad, iA, stepA, row0, Sq, D, x);
                        red[512 + atB + quad] = TensorCoreRows.step(scratch, areaS, own + 64, quad, iB, stepB, row0, Sq, D, x);
                        ctx.localBarrier();
                        iteration++;
                        float sumA = ((red[512 + atA] + red[512 + atA + 1]) + (red[512 + atA + 2] + red[512 + atA + 3]));
                        float sumB = ((red[512 + atB] + red[512 + atB + 1]) + (red[512 + atB + 2] + red[512 + atB + 3]));
                        if (residualA > tol) {
                            momentumA = sizeA * sumA / rrA;
                            rrA = sumA;
                            countA = iteration;
                            residualA = TornadoMath.sqrt(sumA / bbA);
                        }
                        if (residualB > tol) {
                            momentumB = sizeB * sumB / rrB;
                            rrB = sumB;
                            countB = iteration;
                            residualB = TornadoMath.sqrt(sumB / bbB);
                        }
                    }
                    if (mode == OUTPUT) {
                        TensorCoreRows.storeOutput(scratch, areaS, own, quad, iA, lA, row0, Sq, D, Dv, o, kbar, x);
                        TensorCoreRows.storeOutput(scratch, areaS, own + 64, quad, iB, lB, row0, Sq, D, Dv, o, kbar, x);
                        TensorCoreRows.storeFacts(lse, stats, row0, quad, iA, Sq, lA, mA, countA, residualA);
                        TensorCoreRows.storeFacts(lse, stats, row0, quad, iB, Sq, lB, mB, countB, residualB);
                        next = DONE;
                    }
                    if (next != DONE && next != MEAN) {
                        // every row done?
                        ctx.localBarrier();
                        red[atA + quad] = residualA > tol ? 1f : 0f;
                        red[atB + quad] = residualB > tol ? 1f : 0f;
                        ctx.localBarrier();
                        float active = 0f;
                        for (int n = 0; n < BLOCK; n++) {
                            active += red[n * 4];
                        }
                        next = active == 0f || iteration >= maxIterations ? OUTPUT : next;
                        // what the next sweep multiplies the keys with, y = r + momentum y or x, divided by its largest element
                        int last = next == OUTPUT ? 1 : 0;
                        red[256 + atA + quad] = TensorCoreRows.turn(scratch, areaS, own, quad, iA, momentumA, last, row0, Sq, D, x);
                        red[256 + atB + quad] = TensorCoreRows.turn(scratch, areaS, own + 64, quad, iB, momentumB, last, row0, Sq, D, x);
                        ctx.localBarrier();
                        sizeA = Math.max(Math.max(red[256 + atA], red[256 + atA + 1]), Math.max(red[256 + atA + 2], red[256 + atA + 3]));
                        sizeB = Math.max(Math.max(red[256 + atB], red[256 + atB + 1]), Math.max(red[256 + atB + 2], red[256 + atB + 3]));
                        float inverseA = sizeA > 0f ? 1f / sizeA : 0f;
                        float inverseB = sizeB > 0f ? 1f / sizeB : 0f;
                        for (int e = 0; e < 16; e++) {
                            int lower = e & 1;
                            int n = e >> 1;
                            int at = areaS + TensorCoreRows.Y + n * 128 + lower * 64 + own;
                            float inverse = lower == 0 ? inverseA : inverseB;
                            float lo = Fragments.high(scratch.get(at) * inverse);
                            float hi = Fragments.high(scratch.get(at + 1) * inverse);
                            scratch.set(at, lo);
                            scratch.set(at + 1, hi);
                            wt[warp * 512 + (n >> 1) * 128 + (lane >> 2) * 8 + lower * 64 + (n & 1) * 4 + quad] = Fragments.packed(lo, hi);
                        }
                        red[512 + atA + quad] = TensorCoreRows.meanProduct(scratch, areaS, own, quad, iA, row0, Sq, D, kbar);
                        red[512 + atB + quad] = TensorCoreRows.meanProduct(scratch, areaS, own + 64, quad, iB, row0, Sq, D, kbar);
                        ctx.localBarrier();
                        state[TensorCoreRows.WEIGHT + rowA] = lA;
                        state[TensorCoreRows.WEIGHT + rowA + 8] = lB;
                        state[TensorCoreRows.YK + rowA] = (red[512 + atA] + red[512 + atA + 1]) + (red[512 + atA + 2] + red[512 + atA + 3]);
                        state[TensorCoreRows.YK + rowA + 8] = (red[512 + atB] + red[512 + atB + 1]) + (red[512 + atB + 2] + red[512 + atB + 3]);
                        state[TensorCoreRows.SIZE + rowA] = sizeA;
                        state[TensorCoreRows.SIZE + rowA + 8] = sizeB;
                        state[TensorCoreRows.RR + rowA] = rrA;
                        state[TensorCoreRows.RR + rowA + 8] = rrB;
                        state[TensorCoreRows.BB + rowA] = bbA;
                        state[TensorCoreRows.BB + rowA + 8] = bbB;
                        state[TensorCoreRows.RESIDUAL + rowA] = residualA;
                        state[TensorCoreRows.RESIDUAL + rowA + 8] = residualB;
                        state[TensorCoreRows.COUNT + rowA] = countA;
                        state[TensorCoreRows.COUNT + rowA + 8] = countB;
                    }
                    mode = next;
                }
            }
        }
    }
}
