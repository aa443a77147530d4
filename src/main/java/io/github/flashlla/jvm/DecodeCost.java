package io.github.flashlla.jvm;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;

/**
 * Which method is expected to be fastest. Costs are nanoseconds of one core for one query head and key, fitted to the
 * kernels' measured times (bench/NOTES.md, Decode); only their ratios matter, and those change little between machines.
 */
final class DecodeCost {

    /** Iterations expected before any were seen: what random and trained heads take at ridge 1 and tolerance 1e-5. */
    static final int EXPECTED_ITERATIONS = 10;

    /** Keys of one head that are still in a cache when they are read again; more come from memory every time. */
    private static final long CACHED_BYTES = 8 << 20;

    /** One core's share of memory bandwidth, as time. */
    private static final double MEMORY_NS_PER_BYTE = 0.1;

    /** Multiply-adds into a D x D or D x Dv sum: 85 GFLOP/s. */
    private static final double SUM_NS_PER_FLOP = 1 / 85.0;

    /** Scores and centred products with x: a dot product of a key costs the latency of its reduction as much as its length. */
    private static final double DOTS_NS = 9;

    /** Cholesky in float64, over D^3. */
    private static final double SOLVE_NS = 0.2;

    private DecodeCost() {}

    /** Whether one read of the cache can beat a second read of k: only where values are much narrower than keys. */
    static boolean mayChooseMoments(KvCacheShape cache) {
        return 4 * cache.valueDim() <= cache.headDim();
    }

    /**
     * @param group query heads that share each read of a key
     * @param iterations expected of conjugate gradients
     */
    static DecodeMethod choose(KvCacheShape cache, int group, int length, int iterations) {
        double d = cache.headDim();
        double dv = cache.valueDim();
        long keyBytes = (long) length * cache.headDim() * cache.type().bytes();
        double reread = keyBytes > CACHED_BYTES ? MEMORY_NS_PER_BYTE * d * cache.type().bytes() / group : 0;
        double covariance = d * (d + DecodeKernels.PAD) * SUM_NS_PER_FLOP + SOLVE_NS * d * d * d / length;
        double iterating = iterations * (4 + 0.125 * d + reread);
        if (iterating < covariance) {
            return DecodeMethod.MATRIX_FREE;
        }
        return mayChooseMoments(cache) && 2 * d * dv * SUM_NS_PER_FLOP < DOTS_NS + reread
                ? DecodeMethod.MOMENTS : DecodeMethod.COVARIANCE;
    }
}
