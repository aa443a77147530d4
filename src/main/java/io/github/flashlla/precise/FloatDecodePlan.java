package io.github.flashlla.precise;

import io.github.flashlla.DecodePlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.ExclusiveUse;

/** A device's own float32 decoding: what {@link PreciseDecodePlan} needs of it. */
public interface FloatDecodePlan extends DecodePlan {

    /** @param kept receives kbar and x; null where nobody needs them */
    void decode(Tensor q, Tensor ridge, LlaResult result, KeptState kept);

    @Override
    default void decode(Tensor q, Tensor ridge, LlaResult result) {
        decode(q, ridge, result, KeptState.of(result));
    }

    /** What keeps other threads out, for as long as the whole of a run takes. */
    ExclusiveUse use();
}
