package io.github.flashlla;

/**
 * One shape and one set of options, ready to run on one device. Use it from one thread at a time: a run or close from a
 * second thread meanwhile throws {@link IllegalStateException}, as does a run after the plan or its device is closed.
 */
public interface LlaPlan extends AutoCloseable {

    /** The sizes that inputs, results and gradients must have. */
    AttentionShape shape();

    /** As given. */
    LlaOptions options();

    /** Room for what {@link #forward} returns; make one and use it for every run. */
    default LlaResult newResult() {
        return new LlaResult(shape(), DataType.FLOAT32, options().keepState());
    }

    /**
     * Computes o from q, k and v. Inputs of other types are converted; they must be finite
     * ({@link LlaInputs#requireFinite()} checks, at the price of one pass over them).
     *
     * @throws InvalidInputException if inputs or result are not of this plan's shape, or the output lies in the memory of an input
     * @throws DeviceException if the device fails, or its output is not finite; the result is then not to be used
     */
    void forward(LlaInputs inputs, LlaResult result);

    /**
     * {@link #forward} for other queries over the same keys and values: k and v are the tensors of this plan's last forward pass and hold
     * what they held then; q and the ridge may be any. A plan uses again what it found out about them and what its device has of them; one
     * that keeps nothing computes all anew.
     *
     * <p>That they hold the same is the caller's to know: where they have been written since, the result is of the old ones, of the new
     * ones, or of neither.
     *
     * @throws InvalidInputException likewise, and from a plan that keeps something where k or v is another tensor, or no forward pass has
     *     ended well yet
     */
    default void forwardQueries(LlaInputs inputs, LlaResult result) {
        forward(inputs, result);
    }

    /** Room for what {@link #backward} returns. */
    default LlaGradients newGradients() {
        return new LlaGradients(shape(), DataType.FLOAT32);
    }

    /**
     * Computes the gradients of the loss from the gradient of o.
     *
     * @param saved what {@link #forward} returned for the same inputs, with {@link LlaOptions#keepState() state kept}
     * @param gradOutput dL/do (B,H,Sq,Dv)
     * @param gradients from {@link #newGradients()}; dk and dv are sums over the query heads that share a key/value head
     * @throws InvalidInputException if a shape is wrong, {@code saved} keeps no state, or a gradient lies in the memory of an input, of
     *     {@code gradOutput} or of another gradient
     * @throws DeviceException if the device fails, or a gradient is not finite; the gradients are then not to be used
     * @throws UnsupportedOperationException if this device has no backward pass
     */
    default void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        throw new UnsupportedOperationException("this device has no backward pass");
    }

    /** Which of a run's tensors this plan reads and writes where they are, in any layout and type, and which it copies: a sentence for people. */
    default String describe() {
        return "q, k, v, o and gradients are read and written where they are, in any layout and type.";
    }

    /**
     * Bytes that this plan holds now on the device or host beyond the caller's q, k, v and o; backward adds to them. A combined device
     * counts the tensors that its processes share, too.
     */
    long workspaceBytes();

    @Override
    void close();
}
