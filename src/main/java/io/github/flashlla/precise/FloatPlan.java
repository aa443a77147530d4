package io.github.flashlla.precise;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.spi.ExclusiveUse;

/** A device's own float32 plan: what {@link PrecisePlan} needs to know of its last forward run. */
public interface FloatPlan extends LlaPlan {

    /**
     * Sizes of each query's solve in the last forward run, (B,H,Sq) row-major. Not called where no row can be in doubt.
     *
     * @param inputs of that run
     */
    SolveSizes solveSizes(LlaInputs inputs);

    /** What keeps other threads out, for as long as the whole of a run takes. */
    ExclusiveUse use();
}
