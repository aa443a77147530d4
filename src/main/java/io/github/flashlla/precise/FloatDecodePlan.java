package io.github.flashlla.precise;

import io.github.flashlla.DecodePlan;
import io.github.flashlla.spi.ExclusiveUse;

/** A device's own float32 decoding: what {@link PreciseDecodePlan} needs to know of its last step. */
public interface FloatDecodePlan extends DecodePlan {

    /** Sizes of each query's solve in the last step, (B,H). Not called where no query can be in doubt. */
    SolveSizes solveSizes();

    /** What keeps other threads out, for as long as the whole of a run takes. */
    ExclusiveUse use();
}
