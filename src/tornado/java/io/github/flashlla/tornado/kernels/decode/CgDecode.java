package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * One decoding step without any D x D matrix: conjugate gradients, whose every iteration reads k once for all heads that share it.
 *
 * <pre>
 *   gather   k            -> scores s, and per split sum w, sum w z, sum w t z      (z = k - c, t = s - max)
 *   begin    splits       -> kbar, b = kbar - q, and the solve's first step, along q: sum w t z is A q but for known terms
 *   multiply k, s         -> per split A y, and d = z.y of every key                 once an iteration
 *   advance  splits       -> x, r, the next y
 *   output   v, s, d      -> per split sum p (1 - a) v
 *   merge                 -> o                                                      ({@link CovarianceDecode#merge})
 * </pre>
 *
 * <p>c is the sequence's first key: what all keys have in common is lost to no rounding. Iterations are launched in advance; a
 * unit whose heads are all solved lets them pass.
 *
 * <p>A work-group owns a unit, {@code hw} heads (1, 2 or 4) that share a key/value head, and one split of its sequence: group =
 * unit * splits + split, unit * hw + h = b * H + head. D = Dv = 8 L with L a power of two: L neighbouring threads share a key,
 * {@value #DIMS} dims each (thread l has dims i L + l), and take {@value #KEYS} keys at a time; a key's elements go from
 * registers into dot products and sums alike. The cache's layout is {@link CacheLayout#index}'s, in which a warp reads
 * consecutive words.
 *
 * <p>A score, and what else is kept of it, belongs to the thread that adds its parts. {@code scores}, {@code products} (d) and
 * {@code slopes} (z.x up to the last but one step) are in the order in which these threads write them.
 */
public final class CgDecode {

    /** Keys that a thread works on at a time. */
    public static final int KEYS = 4;

    /** Most heads of a unit. */
    public static final int HEADS = 4;

    /** Dims of a thread. */
    public static final int DIMS = 8;

    /** A weight may be e^this before it becomes the reference. */
    private static final float LEAP = 8;

    // What the threads of different keys have of a head's dims is added in the same loop at three kernels' ends: TornadoVM indexes a
    // local array that is passed to a method by bytes, without any error.

    private CgDecode() {}

    /** Keys that a work-group takes at a time; splits begin at a multiple of it. */
    public static int tile(int dim, int threads) {
        return threads / (dim / DIMS) * KEYS;
    }

    /** Floats of local memory that the largest kernel needs. */
    public static int localFloats(int dim, int hw, int threads) {
        int keyLanes = threads / (dim / DIMS);
        return hw * DIMS * threads + 2 * keyLanes * (KEYS * hw + 1) + keyLanes * hw;
    }

    /**
     * Scores and the first sums of every head and split.
     *
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param scores out, less c's
     * @param sums out (B*H,splits,2 D + 3): sum w z, sum w t z, max, sum w, sum w t
     * @param sizes {@link DecodeSizes}
     */
    public static void gather(KernelContext context, FloatArray k32, HalfFloatArray k16, FloatArray scaledQ, IntArray lengths,
            FloatArray scores, FloatArray sums, IntArray sizes, int binary16, int dim, int hw, int threads) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int tiles = sizes.get(DecodeSizes.TILES);
        int lanes = dim / DIMS;
        int blockKeys = 32 / lanes;
        int keyLanes = threads / lanes;
        int tile = keyLanes * KEYS;
        int pairs = KEYS * hw;
        int owners = Math.min(lanes, pairs);
        int rounds = pairs / owners;
        int me = context.localIdx;
        int lane = me % lanes;
        int keyLane = me / lanes;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, tile);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int base = kvUnit * capacity;

        float[] part = context.allocateFloatLocalArray(hw * DIMS * threads);
        float[] localS = context.allocateFloatLocalArray(keyLanes * (pairs + 1));
        float[] localW = context.allocateFloatLocalArray(keyLanes * (pairs + 1));
        float[] localTop = context.allocateFloatLocalArray(keyLanes * hw);
        float[] q = new float[HEADS * DIMS];
        float[] sumZ = new float[HEADS * DIMS];
        float[] sumTz = new float[HEADS * DIMS];
        float[] z = new float[KEYS * DIMS];
        float[] c = new float[DIMS];
        float[] top = new float[HEADS];
        float[] omega = new float[HEADS];
        float[] sumT = new float[HEADS];
        float[] best = new float[HEADS];
        float[] s = new float[KEYS * HEADS];
        for (int i = 0; i < DIMS; i++) {
            c[i] = CacheLayout.element(k32, k16, binary16, (base / blockKeys * DIMS + i) * 32 + lane);
        }
        for (int h = 0; h < hw; h++) {
            top[h] = Masking.LOW;
            omega[h] = 0;
            sumT[h] = 0;
            for (int i = 0; i < DIMS; i++) {
                q[h * DIMS + i] = scaledQ.get((unit * hw + h) * dim + i * lanes + lane);
                sumZ[h * DIMS + i] = 0;
                sumTz[h * DIMS + i] = 0;
            }
        }
        for (int i = me; i < keyLanes * hw; i += threads) {
            localTop[i] = Masking.LOW;
        }
        context.localBarrier();
        for (int token = from; token < to; token += tile) {
            for (int u = 0; u < KEYS; u++) {
                int row = base + Math.min(token + u * keyLanes + keyLane, to - 1);
                int at = row / blockKeys * (DIMS * 32) + row % blockKeys * lanes + lane;
                for (int i = 0; i < DIMS; i++) {
                    z[u * DIMS + i] = CacheLayout.element(k32, k16, binary16, at + i * 32) - c[i];
                }
            }
            for (int u = 0; u < KEYS; u++) {
                for (int h = 0; h < hw; h++) {
                    float dot = 0;
                    for (int i = 0; i < DIMS; i++) {
                        dot += z[u * DIMS + i] * q[h * DIMS + i];
                    }
                    part[(u * hw + h) * threads + me] = dot;
                }
            }
            context.localBarrier();
            if (lane < owners) {
                for (int r = 0; r < rounds; r++) {
                    int pair = r * owners + lane;
                    float sum = 0;
                    for (int l = 0; l < lanes; l++) { // each starting with another, for the sake of memory banks
                        sum += part[pair * threads + keyLane * lanes + (l + lane) % lanes];
                    }
                    float score = Masking.LOW;
                    float weight = 0;
                    if (token + pair / hw * keyLanes + keyLane < to) {
                        score = sum;
                        weight = TornadoMath.exp(Math.min(sum - localTop[keyLane * hw + pair % hw], 2 * LEAP));
                    }
                    scores.set(((unit * tiles + token / tile) * rounds + r) * (keyLanes * owners) + keyLane * owners + lane, score);
                    localS[keyLane * (pairs + 1) + pair] = score;
                    localW[keyLane * (pairs + 1) + pair] = weight;
                }
            }
            context.localBarrier();
            float most = 0;
            for (int h = 0; h < hw; h++) {
                best[h] = Masking.LOW;
                for (int u = 0; u < KEYS; u++) {
                    s[u * HEADS + h] = localS[keyLane * (pairs + 1) + u * hw + h];
                    best[h] = Math.max(best[h], s[u * HEADS + h]);
                }
                most = Math.max(most, best[h] - top[h]);
            }
            if (most > LEAP) { // the same for all threads of a key, which then all write the same weights
                for (int h = 0; h < hw; h++) {
                    float rise = Math.max(best[h] - top[h], 0);
                    float factor = TornadoMath.exp(-rise);
                    for (int i = 0; i < DIMS; i++) {
                        sumTz[h * DIMS + i] = factor * (sumTz[h * DIMS + i] - rise * sumZ[h * DIMS + i]);
                        sumZ[h * DIMS + i] = factor * sumZ[h * DIMS + i];
                    }
                    sumT[h] = factor * (sumT[h] - rise * omega[h]);
                    omega[h] = factor * omega[h];
                    top[h] = Math.max(top[h], best[h]);
                    localTop[keyLane * hw + h] = top[h];
                    for (int u = 0; u < KEYS; u++) {
                        localW[keyLane * (pairs + 1) + u * hw + h] = TornadoMath.exp(s[u * HEADS + h] - top[h]);
                    }
                }
            }
            for (int h = 0; h < hw; h++) {
                for (int u = 0; u < KEYS; u++) {
                    float weight = localW[keyLane * (pairs + 1) + u * hw + h];
                    float weightT = weight * (s[u * HEADS + h] - top[h]);
                    omega[h] += weight;
                    sumT[h] += weightT;
                    for (int i = 0; i < DIMS; i++) {
                        float value = z[u * DIMS + i];
                        sumZ[h * DIMS + i] += weight * value;
                        sumTz[h * DIMS + i] += weightT * value;
                    }
                }
            }
        }
        int width = 2 * dim + 3;
        int out = (unit * hw * splits + split) * width;
        context.localBarrier();
        for (int h = 0; h < hw; h++) {
            best[h] = Masking.LOW;
            for (int j = 0; j < keyLanes; j++) {
                best[h] = Math.max(best[h], localTop[j * hw + h]);
            }
            float rise = best[h] - top[h];
            float factor = TornadoMath.exp(-rise);
            sumT[h] = factor * (sumT[h] - rise * omega[h]);
            omega[h] = factor * omega[h];
            for (int i = 0; i < DIMS; i++) {
                sumTz[h * DIMS + i] = factor * (sumTz[h * DIMS + i] - rise * sumZ[h * DIMS + i]);
                sumZ[h * DIMS + i] = factor * sumZ[h * DIMS + i];
            }
        }
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < DIMS; i++) {
                part[(h * DIMS + i) * threads + me] = sumZ[h * DIMS + i];
            }
            localS[keyLane * (pairs + 1) + h] = omega[h]; // the same from all threads of a key
            localW[keyLane * (pairs + 1) + h] = sumT[h];
        }
        context.localBarrier();
        for (int n = me; n < hw * dim; n += threads) {
            int d = n % dim;
            float sum = 0;
            for (int j = 0; j < keyLanes; j++) {
                sum += part[(n / dim * DIMS + d / lanes) * threads + j * lanes + d % lanes];
            }
            sums.set(out + n / dim * splits * width + d, sum);
        }
        for (int h = me; h < hw; h += threads) {
            float highest = Masking.LOW;
            float totalOmega = 0;
            float totalT = 0;
            for (int j = 0; j < keyLanes; j++) {
                highest = Math.max(highest, localTop[j * hw + h]);
                totalOmega += localS[j * (pairs + 1) + h];
                totalT += localW[j * (pairs + 1) + h];
            }
            sums.set(out + h * splits * width + 2 * dim, highest);
            sums.set(out + h * splits * width + 2 * dim + 1, totalOmega);
            sums.set(out + h * splits * width + 2 * dim + 2, totalT);
        }
        context.localBarrier();
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < DIMS; i++) {
                part[(h * DIMS + i) * threads + me] = sumTz[h * DIMS + i];
            }
        }
        context.localBarrier();
        for (int n = me; n < hw * dim; n += threads) {
            int d = n % dim;
            float sum = 0;
            for (int j = 0; j < keyLanes; j++) {
                sum += part[(n / dim * DIMS + d / lanes) * threads + j * lanes + d % lanes];
            }
            sums.set(out + dim + n / dim * splits * width + d, sum);
        }
    }

    /**
     * o's part of every head and split: sum p (1 - a) v, with a = z.x less its mean.
     *
     * @param parts out (B*H,splits,D)
     */
    public static void output(KernelContext context, FloatArray v32, HalfFloatArray v16, IntArray lengths, FloatArray scores,
            FloatArray products, FloatArray slopes, FloatArray facts, FloatArray parts, IntArray sizes, int binary16, int dim, int hw,
            int threads) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int tiles = sizes.get(DecodeSizes.TILES);
        int lanes = dim / DIMS;
        int blockKeys = 32 / lanes;
        int keyLanes = threads / lanes;
        int tile = keyLanes * KEYS;
        int pairs = KEYS * hw;
        int owners = Math.min(lanes, pairs);
        int rounds = pairs / owners;
        int me = context.localIdx;
        int lane = me % lanes;
        int keyLane = me / lanes;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, tile);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int base = kvUnit * capacity;

        float[] part = context.allocateFloatLocalArray(hw * DIMS * threads);
        float[] localW = context.allocateFloatLocalArray(keyLanes * (pairs + 1));
        float[] sumV = new float[HEADS * DIMS];
        float[] v = new float[KEYS * DIMS];
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < DIMS; i++) {
                sumV[h * DIMS + i] = 0;
            }
        }
        float passes = facts.get(unit * hw * CgDecodeState.FACTS + CgDecodeState.PASSES);
        for (int token = from; token < to; token += tile) {
            for (int u = 0; u < KEYS; u++) {
                int row = base + Math.min(token + u * keyLanes + keyLane, to - 1);
                int at = row / blockKeys * (DIMS * 32) + row % blockKeys * lanes + lane;
                for (int i = 0; i < DIMS; i++) {
                    v[u * DIMS + i] = CacheLayout.element(v32, v16, binary16, at + i * 32);
                }
            }
            if (lane < owners) {
                for (int r = 0; r < rounds; r++) {
                    int pair = r * owners + lane;
                    int fact = (unit * hw + pair % hw) * CgDecodeState.FACTS;
                    int at = ((unit * tiles + token / tile) * rounds + r) * (keyLanes * owners) + keyLane * owners + lane;
                    float t = scores.get(at) - facts.get(fact + CgDecodeState.TOP);
                    float slope = facts.get(fact + CgDecodeState.FIRST_STEP) * t;
                    if (passes > 0) {
                        slope += facts.get(fact + CgDecodeState.STEP) * products.get(at);
                    }
                    if (passes > 1) {
                        slope += slopes.get(at);
                    }
                    float p = TornadoMath.exp(t) * facts.get(fact + CgDecodeState.PER_WEIGHT);
                    float coefficient = 0;
                    if (token + pair / hw * keyLanes + keyLane < to) {
                        coefficient = p * (1 + facts.get(fact + CgDecodeState.MEAN) - slope);
                    }
                    localW[keyLane * (pairs + 1) + pair] = coefficient;
                }
            }
            context.localBarrier();
            for (int u = 0; u < KEYS; u++) {
                for (int h = 0; h < hw; h++) {
                    float coefficient = localW[keyLane * (pairs + 1) + u * hw + h];
                    for (int i = 0; i < DIMS; i++) {
                        sumV[h * DIMS + i] += coefficient * v[u * DIMS + i];
                    }
                }
            }
            context.localBarrier();
        }
        for (int h = 0; h < hw; h++) {
            for (int i = 0; i < DIMS; i++) {
                part[(h * DIMS + i) * threads + me] = sumV[h * DIMS + i];
            }
        }
        context.localBarrier();
        for (int n = me; n < hw * dim; n += threads) {
            int d = n % dim;
            float sum = 0;
            for (int j = 0; j < keyLanes; j++) {
                sum += part[(n / dim * DIMS + d / lanes) * threads + j * lanes + d % lanes];
            }
            parts.set((unit * hw * splits + split) * dim + n / dim * splits * dim + d, sum);
        }
    }
}
