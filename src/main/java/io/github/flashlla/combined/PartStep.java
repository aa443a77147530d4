package io.github.flashlla.combined;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;

/** A part's decoding steps for the heads whose keys and values it holds: its sequences are key/value heads of the whole. */
final class PartStep implements AutoCloseable {
    private final Tensors tensors;
    private final int piece;
    private final DecodePlan plan;
    private final LlaResult result;

    PartStep(Tensors tensors, int piece, DecodePlan plan) {
        this.tensors = tensors;
        this.piece = piece;
        this.plan = plan;
        this.result = plan.newResult();
    }

    /** With the tensors that only the part has. */
    long workspaceBytes() {
        long bytes = plan.workspaceBytes() + result.output().byteSize() + result.logSumExp().byteSize();
        return result.keepsState() ? bytes + result.kbar().byteSize() + result.x().byteSize() : bytes;
    }

    /** @param ridge null where the options' ridge is meant */
    Outcome run(DataType q, DataType ridge) {
        Tensor queries = tensors.of(Part.Q, piece, q).reshape(plan.shape().queryDims());
        Tensor ridges = ridge == null ? null : tensors.of(Part.RIDGE, piece, ridge).reshape(plan.shape().rowDims());
        plan.decode(queries, ridges, result);
        tensors.leave(piece, result);
        return Outcome.of(result, plan.lastMethod()).holding(workspaceBytes());
    }

    @Override
    public void close() {
        plan.close();
    }
}
