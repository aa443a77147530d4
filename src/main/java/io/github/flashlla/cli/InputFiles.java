package io.github.flashlla.cli;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.text.Numbers;
import java.util.Arrays;

/** The tensors of {@code run} as their files hold them, of rank 2 to 4, checked with the files' names in every complaint. */
record InputFiles(Layout layout, TensorFile qFile, TensorFile kFile, TensorFile vFile, TensorFile ridgeFile, TensorFile gradFile, Tensor q, Tensor k,
        Tensor v, Tensor ridge, Tensor grad) {

    /** @param ridge, grad null where there is none */
    static InputFiles read(Layout layout, TensorFile q, TensorFile k, TensorFile v, TensorFile ridge, TensorFile grad) {
        return new InputFiles(layout, q, k, v, ridge, grad, tensor("--q", q), tensor("--k", k), tensor("--v", v),
                ridge == null ? null : ridge.read(), grad == null ? null : tensor("--grad", grad));
    }

    /** All as the core takes them. */
    LlaInputs inputs() {
        LlaInputs inputs;
        try {
            inputs = LlaInputs.of(rank4(q), rank4(k), rank4(v));
            inputs.shape();
        } catch (InvalidInputException e) {
            throw new InvalidInputException(e.getMessage() + " (q is " + qFile + ", k is " + kFile + ", v is " + vFile + ").");
        }
        return ridge == null ? inputs : inputs.withRidge(layout.headsFirst(ridge.reshape(Arrays.copyOf(rank4File(q).dims(), 3))));
    }

    /** The gradient of the output (B,H,Sq,Dv), or null. */
    Tensor gradient() {
        return grad == null ? null : rank4(grad);
    }

    /** Dims of the output, of the queries' rank. */
    long[] outputDims() {
        long[] dims = q.dims();
        dims[dims.length - 1] = v.dim(v.rank() - 1);
        return dims;
    }

    /** Dims of a number for each query, of the queries' rank less one. */
    long[] ridgeDims() {
        return Arrays.copyOf(q.dims(), q.rank() - 1);
    }

    /** Checks shapes first, then every element: finite, in the device's range, ridges above 0. */
    void requireUsable(LlaOptions options, DeviceInfo device) {
        if (ridge != null && !Arrays.equals(ridge.dims(), ridgeDims())
                && !Arrays.equals(ridge.dims(), Arrays.copyOf(rank4File(q).dims(), 3))) {
            throw new InvalidInputException("--ridge-file " + ridgeFile + " has shape " + Tensor.shapeString(ridge.dims())
                    + ", but a ridge for each query of " + qFile + " needs " + Tensor.shapeString(ridgeDims()) + ".");
        }
        AttentionShape shape = inputs().shape();
        if (options.causal() && shape.queryLength() > shape.keyLength()) {
            throw new InvalidInputException(qFile + " has " + Numbers.count(shape.queryLength(), "query") + " but " + kFile + " only "
                    + Numbers.count(shape.keyLength(), "key") + "; causal attention needs Sq <= Sk (or say --no-causal).");
        }
        if (grad != null && !Arrays.equals(gradient().dims(), shape.outputDims())) {
            throw new InvalidInputException("--grad " + gradFile + " has shape " + Tensor.shapeString(grad.dims())
                    + ", but the output it is the gradient of has " + Tensor.shapeString(outputDims()) + ".");
        }
        boolean wide = device.precisions().contains(DataType.FLOAT64);
        requireFinite("--q", qFile, q, wide);
        requireFinite("--k", kFile, k, wide);
        requireFinite("--v", vFile, v, wide);
        if (grad != null) {
            requireFinite("--grad", gradFile, grad, wide);
        }
        if (ridge != null) {
            requireFinite("--ridge-file", ridgeFile, ridge, wide);
            for (long i = 0; i < ridge.size(); i++) {
                if (!(ridge.get(i) > 0)) {
                    throw new InvalidInputException("--ridge-file " + ridgeFile + " holds " + ridge.get(i) + " at " + ridge.coordinates(i)
                            + "; every ridge must be above 0.");
                }
            }
        }
    }

    private static void requireFinite(String option, TensorFile file, Tensor tensor, boolean wide) {
        long at = tensor.firstNonFinite();
        if (at >= 0) {
            throw new InvalidInputException(option + " " + file + " holds " + tensor.get(at) + " at " + tensor.coordinates(at)
                    + "; inputs must be finite.");
        }
        for (long i = 0; !wide && tensor.type() == DataType.FLOAT64 && i < tensor.size(); i++) {
            if (Float.isInfinite((float) tensor.get(i))) {
                throw new InvalidInputException(option + " " + file + " holds " + tensor.get(i) + " at " + tensor.coordinates(i)
                        + ", more than float32, in which devices compute, can hold.");
            }
        }
    }

    private static Tensor tensor(String option, TensorFile file) {
        Tensor tensor = file.read();
        if (tensor.rank() < 2 || tensor.rank() > 4) {
            throw new InvalidInputException(option + " " + file + " has rank " + tensor.rank()
                    + "; (length, dim), (heads, length, dim) or (batch, heads, length, dim) is needed.");
        }
        return tensor;
    }

    private Tensor rank4(Tensor tensor) {
        return layout.headsFirst(rank4File(tensor));
    }

    private Tensor rank4File(Tensor tensor) {
        long[] dims = tensor.dims();
        return switch (dims.length) {
            case 2 -> layout == Layout.BHSD ? tensor.reshape(1, 1, dims[0], dims[1]) : tensor.reshape(1, dims[0], 1, dims[1]);
            case 3 -> tensor.reshape(1, dims[0], dims[1], dims[2]);
            default -> tensor;
        };
    }
}
