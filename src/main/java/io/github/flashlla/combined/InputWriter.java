package io.github.flashlla.combined;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import java.util.BitSet;

/** The parent writes a pass's inputs piece by piece, so that parts begin with the first while others are written. */
final class InputWriter {
    private final Tensors tensors;
    private final LlaInputs inputs;
    private final BitSet pieces = new BitSet();
    private final BitSet heads = new BitSet();

    InputWriter(Tensors tensors, LlaInputs inputs) {
        this.tensors = tensors;
        this.inputs = new LlaInputs(inputs.q().rowMajor(), inputs.k().rowMajor(), inputs.v().rowMajor(),
                inputs.ridge() == null ? null : inputs.ridge().rowMajor());
    }

    /** Writes what a piece needs and has not been written yet: pieces of one head have its keys and values in common. */
    void write(int piece) {
        if (pieces.get(piece)) {
            return;
        }
        pieces.set(piece);
        tensors.write(Part.Q, inputs.q(), piece);
        if (inputs.ridge() != null) {
            tensors.write(Part.RIDGE, inputs.ridge(), piece);
        }
        Piece shape = tensors.layout().pieces().get(piece);
        if (!heads.get(shape.fromHead())) {
            heads.set(shape.fromHead(), shape.toHead());
            tensors.write(Part.K, inputs.k(), piece);
            tensors.write(Part.V, inputs.v(), piece);
        }
    }
}
