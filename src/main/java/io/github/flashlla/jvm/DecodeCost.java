package io.github.flashlla.jvm;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;

/** Which method is expected to be fastest, from constants that were measured (bench/NOTES.md, Decode). */
final class DecodeCost {

    /** Iterations expected before any were seen: what random and trained heads take at ridge 1 and tolerance 1e-5. */
    static final int EXPECTED_ITERATIONS = 10;

    private DecodeCost() {}

    /** Whether one read of the cache can beat a second read of k: only where values are much narrower than keys. */
    static boolean mayChooseMoments(KvCacheShape cache) {
        return 4 * cache.valueDim() <= cache.headDim();
    }

    static DecodeMethod choose(KvCacheShape cache, int group, int length, int iterations) {
        return DecodeMethod.COVARIANCE;
    }
}
