package io.github.flashlla.verify;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;

/** Parts of tensors, copied. */
final class Slices {
    private Slices() {}

    /** Positions {@code from} to {@code to} of one axis. */
    static Tensor of(Tensor tensor, int axis, int from, int to) {
        long[] dims = tensor.dims().clone();
        long inner = 1;
        for (int i = axis + 1; i < dims.length; i++) {
            inner *= dims[i];
        }
        long step = dims[axis] * inner;
        dims[axis] = to - from;
        Tensor part = Tensor.allocate(tensor.type(), dims);
        long block = dims[axis] * inner;
        for (long i = 0; i < part.size(); i++) {
            part.set(i, tensor.get(i / block * step + from * inner + i % block));
        }
        return part;
    }

    /** One sequence of a batch, with its first keys. */
    static LlaInputs sequence(LlaInputs inputs, int sequence, int keys) {
        return new LlaInputs(of(inputs.q(), 0, sequence, sequence + 1), of(of(inputs.k(), 0, sequence, sequence + 1), 2, 0, keys),
                of(of(inputs.v(), 0, sequence, sequence + 1), 2, 0, keys),
                inputs.ridge() == null ? null : of(inputs.ridge(), 0, sequence, sequence + 1));
    }
}
