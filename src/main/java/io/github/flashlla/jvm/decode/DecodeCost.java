package io.github.flashlla.jvm.decode;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;
import java.util.EnumSet;
import java.util.Set;

/**
 * Which method is expected to be fastest. Costs are nanoseconds of one core for one query head and key, fitted to the
 * kernels' measured times (docs/algorithms/decode.md); only their ratios matter, and those change little between machines.
 */
public final class DecodeCost {

    /** Iterations expected at first: random heads take 2 to 5 at ridge 1, fewer with a longer context. */
    public static final double EXPECTED_ITERATIONS = 4;

    /** Bytes of one head's keys that stay in a cache between reads; larger heads come from memory every time. */
    public static final long CACHED_BYTES = 8 << 20;

    /** One core's share of memory bandwidth, as time. */
    private static final double MEMORY_NS_PER_BYTE = 0.05;

    /** A dot product with every key, or a weighted sum of them, over D. */
    private static final double PASS_NS = 0.065;

    /** Cost of an iteration per key that does not depend on D: weight and slope. */
    private static final double KEPT_NS = 0.5;

    /** Multiply-adds into a D x D or D x Dv sum: 85 GFLOP/s. */
    private static final double SUM_NS_PER_FLOP = 1 / 85.0;

    /** Turning a tile and centring it, over D. */
    private static final double TURN_NS = 0.85;

    /** Cholesky in float64, over D^3. */
    private static final double SOLVE_NS = 0.2;

    private DecodeCost() {}

    /** Whether one read of the cache can beat a second read of k: only where values are much narrower than keys. */
    static boolean mayChooseMoments(KvCacheShape cache) {
        return 4 * cache.valueDim() <= cache.headDim();
    }

    /** Methods that a plan may come to use. */
    static Set<DecodeMethod> possible(KvCacheShape cache, DecodeMethod method) {
        if (method != DecodeMethod.AUTO) {
            return EnumSet.of(method);
        }
        Set<DecodeMethod> methods = EnumSet.of(DecodeMethod.COVARIANCE, DecodeMethod.MATRIX_FREE);
        if (mayChooseMoments(cache)) {
            methods.add(DecodeMethod.MOMENTS);
        }
        return methods;
    }

    /** Method for tokens that are turned whenever they are read: two reads where they come from memory each time. */
    public static DecodeMethod inPlace(KvCacheShape cache) {
        return keyBytes(cache, cache.capacity()) > CACHED_BYTES ? DecodeMethod.COVARIANCE : DecodeMethod.AUTO;
    }

    /** One head's keys. */
    public static long keyBytes(KvCacheShape cache, int length) {
        return (long) length * cache.headDim() * cache.type().bytes();
    }

    /**
     * @param group query heads that share each read of a key
     * @param iterations expected of conjugate gradients
     */
    public static DecodeMethod choose(KvCacheShape cache, int group, int length, double iterations) {
        double d = cache.headDim();
        double dv = cache.valueDim();
        double reread = keyBytes(cache, length) > CACHED_BYTES ? MEMORY_NS_PER_BYTE * d * cache.type().bytes() / group : 0;
        double covariance = d * (d + DecodeLoops.PAD) * SUM_NS_PER_FLOP + TURN_NS * d + SOLVE_NS * d * d * d / length
                + PASS_NS * d + reread;
        double iterating = iterations * (2 * PASS_NS * d + KEPT_NS + reread) + PASS_NS * d;
        if (iterating < covariance) {
            return DecodeMethod.MATRIX_FREE;
        }
        return mayChooseMoments(cache) && 2 * d * dv * SUM_NS_PER_FLOP < 2 * PASS_NS * d + reread
                ? DecodeMethod.MOMENTS : DecodeMethod.COVARIANCE;
    }
}
