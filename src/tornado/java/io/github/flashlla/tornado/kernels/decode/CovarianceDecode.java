package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * One decoding step: B sequences of different lengths, each with one query per head, against the key/value cache.
 *
 * <pre>
 *   append -> cache            new tokens, staged by the host
 *   scan -> top                largest score and its key, per head and split
 *   covariance -> sums         sum w, sum w z, sum w z z^T about the heaviest key c (z = k - c), per head and split
 *   solve -> x                 merge of the splits, Cholesky of A = cov + ridge I in local memory, x = A^-1 (kbar - q)
 *   output -> parts            sum p (1 - a) v, per head and split
 *   merge -> o
 * </pre>
 *
 * <p>Because scan has found the heaviest key, weights need no running max, splits add up without rescaling, and A cancels no
 * large numbers where the weight sits on few keys.
 *
 * <p>Layouts, row-major but for the cache: k (pages,Hkv,pageSize,D), v (pages,Hkv,pageSize,Dv), whose elements are where
 * {@link CacheLayout#at} says, in float32 ({@code k32}) or, by a bit of {@code format}, in float16 ({@code k16}; the other array is then a
 * dummy). A work-group of scan,
 * covariance and output owns a unit, {@code hw} heads that share one key/value head, and one split of its sequence: group = unit * splits + split,
 * unit * hw + h = b * H + head. With a window, in {@code format}, splits are of the tokens in it, and no other is read. Tiles are
 * {@value #TILE} keys. Every scalar argument is folded into the compiled kernel.
 */
public final class CovarianceDecode {

    /** Keys of a tile. */
    public static final int TILE = 16;

    /** Rows and columns of A that one thread sums. */
    public static final int STRIP = 8;

    private CovarianceDecode() {}

    /**
     * Largest score of every head and split.
     *
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param pages (B, most pages of a sequence), see {@link CacheLayout#at}
     * @param topScore (B*H,splits), {@link Masking#LOW} where a split is empty
     * @param topKey (B*H,splits), position in the sequence
     * @param sizes {@link DecodeSizes}
     */
    public static void scan(KernelContext context, FloatArray k32, HalfFloatArray k16, FloatArray scaledQ,
            IntArray lengths, IntArray pages, FloatArray topScore, IntArray topKey, IntArray sizes, int format, int dim, int hw) {
        int pageSize = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int perSequence = sizes.get(DecodeSizes.PAGES);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int first = CacheLayout.first(format, length);
        int perSplit = (length - first + splits - 1) / splits;
        int from = Math.min(first + split * perSplit, length);
        int to = Math.min(from + perSplit, length);

        float[] k = context.allocateFloatLocalArray(TILE * (dim + 1));
        float[] q = context.allocateFloatLocalArray(hw * dim);
        float[] best = context.allocateFloatLocalArray(hw * TILE);
        int[] bestKey = context.allocateIntLocalArray(hw * TILE);
        for (int i = me; i < hw * dim; i += threads) {
            q[i] = scaledQ.get(unit * hw * dim + i);
        }
        for (int i = me; i < hw * TILE; i += threads) {
            best[i] = Masking.LOW;
            bestKey[i] = 0;
        }
        context.localBarrier();
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            for (int i = me; i < n * dim; i += threads) {
                float value = CacheLayout.element(k32, k16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                        kvUnit, token + i / dim, i % dim, dim));
                k[i / dim * (dim + 1) + i % dim] = value;
            }
            context.localBarrier();
            for (int i = me; i < hw * TILE; i += threads) {
                int j = i % TILE;
                if (j < n) {
                    float score = 0;
                    for (int d = 0; d < dim; d++) {
                        score += k[j * (dim + 1) + d] * q[i / TILE * dim + d];
                    }
                    float before = best[i];
                    if (score > before) {
                        bestKey[i] = token + j;
                    }
                    best[i] = Math.max(score, before);
                }
            }
            context.localBarrier();
        }
        for (int h = me; h < hw; h += threads) {
            float top = Masking.LOW;
            int key = 0;
            for (int j = 0; j < TILE; j++) {
                if (best[h * TILE + j] > top) {
                    top = best[h * TILE + j];
                    key = bestKey[h * TILE + j];
                }
            }
            topScore.set((unit * hw + h) * splits + split, top);
            topKey.set((unit * hw + h) * splits + split, key);
        }
    }

    /**
     * Moments of every head and split about the head's heaviest key.
     *
     * <p>A's upper triangle is cut into 8 x 8 tiles, {@code tiles} = S (S + 1) / 2 with S = ceil(D / 8); a thread sums one
     * tile of one head: item = h * tiles + tile. Work-groups beyond the first of a unit and split take further items:
     * group = (unit * splits + split) * chunks + chunk. Keys are centred in registers, as c differs from head to head. In
     * local memory a key's strips are apart, element d at (d % 8) S + d / 8, so that neighbouring threads read neighbouring
     * words, and keys are an odd number of words apart, so that the scores do.
     *
     * @param sums (unit,split,64,hw*tiles), element (i,e) of a tile at i * 8 + e
     * @param sumZ (B*H,splits,D+1), the last being sum w
     * @param centre (B*H,D), receives c
     */
    public static void covariance(KernelContext context, FloatArray k32, HalfFloatArray k16,
            FloatArray scaledQ, IntArray lengths, IntArray pages, FloatArray topScore, IntArray topKey, FloatArray sums, FloatArray sumZ,
            FloatArray centre, IntArray sizes, int format, int dim, int hw, int chunks) {
        int pageSize = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int perSequence = sizes.get(DecodeSizes.PAGES);
        int strips = (dim + STRIP - 1) / STRIP;
        int stride = strips * STRIP + 1;
        int tiles = strips * (strips + 1) / 2;
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int chunk = context.groupIdx % chunks;
        int split = context.groupIdx / chunks % splits;
        int unit = context.groupIdx / chunks / splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int first = CacheLayout.first(format, length);
        int perSplit = (length - first + splits - 1) / splits;
        int from = Math.min(first + split * perSplit, length);
        int to = Math.min(from + perSplit, length);

        float[] k = context.allocateFloatLocalArray(TILE * stride);
        float[] q = context.allocateFloatLocalArray(hw * (dim + 1));
        float[] c = context.allocateFloatLocalArray(hw * stride);
        float[] w = context.allocateFloatLocalArray(hw * TILE);
        float[] max = context.allocateFloatLocalArray(hw);
        int[] heaviest = context.allocateIntLocalArray(hw);
        for (int i = me; i < TILE * stride; i += threads) {
            k[i] = 0; // what no key fills is multiplied by a weight of 0, and must be a number
        }
        for (int i = me; i < hw * stride; i += threads) {
            c[i] = 0;
        }
        for (int h = me; h < hw; h += threads) {
            float top = Masking.LOW;
            int key = 0;
            for (int s = 0; s < splits; s++) {
                float score = topScore.get((unit * hw + h) * splits + s);
                if (score > top) {
                    top = score;
                    key = topKey.get((unit * hw + h) * splits + s);
                }
            }
            max[h] = top;
            heaviest[h] = key;
        }
        context.localBarrier();
        for (int i = me; i < hw * dim; i += threads) {
            int h = i / dim;
            int d = i % dim;
            q[h * (dim + 1) + d] = scaledQ.get(unit * hw * dim + i);
            float value = CacheLayout.element(k32, k16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                    kvUnit, heaviest[h], d, dim));
            c[h * stride + d % STRIP * strips + d / STRIP] = value;
            if (split == 0 && chunk == 0) {
                centre.set(unit * hw * dim + i, value);
            }
        }

        int item = chunk * threads + me;
        int myHead = Math.min(item / tiles, hw - 1); // threads beyond the last item sum what nobody stores
        int myTile = item % tiles;
        // the last column whose first tile, column (column + 1) / 2, is not beyond mine
        int column = (int) ((TornadoMath.sqrt(8f * myTile + 1) - 1) * 0.5f + 1e-3f);
        int row = myTile - column * (column + 1) / 2;
        float[] sum = new float[STRIP * STRIP];
        float[] mean = new float[STRIP];
        float[] wa = new float[STRIP];
        float[] ca = new float[STRIP];
        float[] cb = new float[STRIP];
        float omega = 0;
        for (int i = 0; i < STRIP * STRIP; i++) {
            sum[i] = 0;
        }
        context.localBarrier();
        for (int i = 0; i < STRIP; i++) {
            mean[i] = 0;
            ca[i] = c[myHead * stride + i * strips + row];
            cb[i] = c[myHead * stride + i * strips + column];
        }

        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            for (int i = me; i < n * dim; i += threads) {
                float value = CacheLayout.element(k32, k16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                        kvUnit, token + i / dim, i % dim, dim));
                int d = i % dim;
                k[i / dim * stride + d % STRIP * strips + d / STRIP] = value;
            }
            context.localBarrier();
            for (int i = me; i < hw * TILE; i += threads) {
                int j = i % TILE;
                int h = i / TILE;
                float weight = 0;
                if (j < n) {
                    float score = 0;
                    for (int d = 0; d < dim; d++) {
                        score += k[j * stride + d % STRIP * strips + d / STRIP] * q[h * (dim + 1) + d];
                    }
                    weight = TornadoMath.exp(score - max[h]);
                }
                w[i] = weight;
            }
            context.localBarrier();
            for (int j = 0; j < TILE; j++) {
                int at = j * stride;
                float weight = w[myHead * TILE + j];
                omega += weight;
                for (int i = 0; i < STRIP; i++) {
                    float value = weight * (k[at + i * strips + row] - ca[i]);
                    wa[i] = value;
                    mean[i] += value;
                }
                for (int e = 0; e < STRIP; e++) {
                    float b = k[at + e * strips + column] - cb[e];
                    for (int i = 0; i < STRIP; i++) {
                        sum[i * STRIP + e] += wa[i] * b;
                    }
                }
            }
            context.localBarrier();
        }
        int items = hw * tiles;
        if (item < items) {
            for (int i = 0; i < STRIP * STRIP; i++) {
                sums.set(((unit * splits + split) * STRIP * STRIP + i) * items + item, sum[i]);
            }
            int means = ((unit * hw + myHead) * splits + split) * (dim + 1);
            if (row == column) {
                for (int i = 0; i < STRIP; i++) {
                    if (row * STRIP + i < dim) {
                        sumZ.set(means + row * STRIP + i, mean[i]);
                    }
                }
            }
            if (myTile == 0) {
                sumZ.set(means + dim, omega);
            }
        }
    }

    /**
     * o's part of every head and split: sum p (1 - a) v, with 1 - a = 1 + (kbar - c).x - (k - c).x.
     *
     * @param facts from {@link CovarianceSolve}
     * @param parts (B*H,splits,Dv)
     */
    public static void output(KernelContext context, FloatArray k32, HalfFloatArray k16, FloatArray v32, HalfFloatArray v16,
            FloatArray scaledQ, IntArray lengths, IntArray pages, FloatArray centre, FloatArray x, FloatArray facts,
            FloatArray parts, IntArray sizes, int format, int dim, int valueDim, int hw) {
        int pageSize = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int perSequence = sizes.get(DecodeSizes.PAGES);
        int threads = context.localGroupSizeX;
        int me = context.localIdx;
        int split = context.groupIdx % splits;
        int unit = context.groupIdx / splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int first = CacheLayout.first(format, length);
        int perSplit = (length - first + splits - 1) / splits;
        int from = Math.min(first + split * perSplit, length);
        int to = Math.min(from + perSplit, length);

        float[] k = context.allocateFloatLocalArray(TILE * (dim + 1));
        float[] v = context.allocateFloatLocalArray(TILE * valueDim);
        float[] q = context.allocateFloatLocalArray(hw * dim);
        float[] c = context.allocateFloatLocalArray(hw * dim);
        float[] solution = context.allocateFloatLocalArray(hw * dim);
        float[] coefficient = context.allocateFloatLocalArray(hw * TILE);
        float[] o = context.allocateFloatLocalArray(hw * valueDim);
        for (int i = me; i < hw * dim; i += threads) {
            q[i] = scaledQ.get(unit * hw * dim + i);
            c[i] = centre.get(unit * hw * dim + i);
            solution[i] = x.get(unit * hw * dim + i);
        }
        for (int i = me; i < hw * valueDim; i += threads) {
            o[i] = 0;
        }
        context.localBarrier();
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            for (int i = me; i < n * dim; i += threads) {
                float value = CacheLayout.element(k32, k16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                        kvUnit, token + i / dim, i % dim, dim));
                k[i / dim * (dim + 1) + i % dim] = value;
            }
            for (int i = me; i < n * valueDim; i += threads) {
                float value = CacheLayout.element(v32, v16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                        kvUnit, token + i / valueDim, i % valueDim, valueDim));
                v[i] = value;
            }
            context.localBarrier();
            for (int i = me; i < hw * TILE; i += threads) {
                int j = i % TILE;
                int h = i / TILE;
                float weight = 0;
                if (j < n) {
                    float score = 0;
                    float deviation = 0;
                    for (int d = 0; d < dim; d++) {
                        float value = k[j * (dim + 1) + d];
                        score += value * q[h * dim + d];
                        deviation += (value - c[h * dim + d]) * solution[h * dim + d];
                    }
                    int fact = (unit * hw + h) * 5;
                    weight = TornadoMath.exp(score - facts.get(fact)) * facts.get(fact + 1)
                            * (facts.get(fact + 2) - deviation);
                }
                coefficient[i] = weight;
            }
            context.localBarrier();
            for (int i = me; i < hw * valueDim; i += threads) {
                int h = i / valueDim;
                int e = i % valueDim;
                float part = 0;
                for (int j = 0; j < n; j++) {
                    part += coefficient[h * TILE + j] * v[j * valueDim + e];
                }
                o[i] += part;
            }
            context.localBarrier();
        }
        for (int i = me; i < hw * valueDim; i += threads) {
            parts.set(((unit * hw + i / valueDim) * splits + split) * valueDim + i % valueDim, o[i]);
        }
    }

    /**
     * Has values in a graph that does not read them, so that the next graph finds them on the device: TornadoVM hands on only what tasks are
     * given. One thread.
     *
     * @param handed receives the first value
     */
    public static void handOn(KernelContext context, FloatArray v32, HalfFloatArray v16, FloatArray handed, int binary16) {
        if (context.globalIdx == 0) {
            float value = CacheLayout.element(v32, v16, binary16, 0);
            handed.set(0, value);
        }
    }

    /**
     * o (B*H,Dv) from its parts, one thread an element.
     *
     * @param threads of a work-group; SPIR-V needs a second number among the arguments
     */
    public static void merge(KernelContext context, FloatArray parts, FloatArray o, IntArray sizes, int valueDim, int threads) {
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int i = context.groupIdx * threads + context.localIdx;
        if (i < sizes.get(DecodeSizes.QUERIES) * valueDim) {
            float sum = 0;
            for (int s = 0; s < splits; s++) {
                sum += parts.get((i / valueDim * splits + s) * valueDim + i % valueDim);
            }
            o.set(i, sum);
        }
    }
}
