package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;

/**
 * Where a run leaves what its solves came to.
 *
 * @param kbar weighted mean keys (B,H,Sq,D)
 * @param x solutions (B,H,Sq,D)
 */
public record KeptState(Tensor kbar, Tensor x) {

    /** A result's own; null where it keeps none. */
    public static KeptState of(LlaResult result) {
        return result.keepsState() ? new KeptState(result.kbar(), result.x()) : null;
    }

    static KeptState allocate(AttentionShape shape) {
        return new KeptState(Tensor.allocate(DataType.FLOAT32, shape.queryDims()), Tensor.allocate(DataType.FLOAT32, shape.queryDims()));
    }

    long bytes() {
        return kbar.byteSize() + x.byteSize();
    }
}
