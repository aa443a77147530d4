package io.github.flashlla.precise;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.spi.ExclusiveUse;

/**
 * A device's own float32 plan: what {@link PrecisePlan} needs of it. Shapes, ridges, memory, threads and whether it is open have been checked
 * when it is called.
 */
public interface FloatPlan extends LlaPlan {

    /** @param kept receives kbar and x; null where nobody needs them */
    void forward(LlaInputs inputs, LlaResult result, KeptState kept);

    @Override
    default void forward(LlaInputs inputs, LlaResult result) {
        forward(inputs, result, KeptState.of(result));
    }

    /** What keeps other threads out, for as long as the whole of a run takes. */
    ExclusiveUse use();
}
