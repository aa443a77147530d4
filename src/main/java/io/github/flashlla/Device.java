package io.github.flashlla;

import java.util.Optional;

/**
 * Something that computes Local Linear Attention: this JVM, the float64 reference, or an accelerator.
 *
 * <p>Devices may be used by several threads at once unless their own documentation says otherwise; a {@link LlaPlan}
 * may not.
 */
public interface Device extends AutoCloseable {

    /** Its name, its hardware, and what it can compute in. */
    DeviceInfo info();

    /**
     * Prepares to run one shape with one set of options many times: buffers allocated, kernels compiled at the latest
     * on the first run.
     *
     * @throws InvalidInputException if the device cannot take this shape or these options
     * @throws DeviceException if the device lacks the memory or fails
     */
    LlaPlan plan(AttentionShape shape, LlaOptions options);

    /**
     * Prepares softmax attention of one shape, as LLA's yardstick: what {@link #plan} computes as the ridge grows. Of the options
     * it takes the scale, the mask and the precision; its plan has no backward pass, and its result no solve.
     *
     * @throws InvalidInputException if the device cannot take this shape or these options
     * @throws UnsupportedOperationException if this device has none
     */
    default LlaPlan softmaxPlan(AttentionShape shape, LlaOptions options) {
        throw new UnsupportedOperationException("the device " + info().name() + " has no softmax attention to compare with");
    }

    /**
     * Prepares for sequences of different lengths, packed one after the other.
     *
     * @param shape B = 1, and the queries and keys of all sequences together
     * @throws InvalidInputException if B is not 1
     */
    default PackedPlan packedPlan(AttentionShape shape, LlaOptions options) {
        return new PackedPlan(this, shape, options);
    }

    /**
     * Plans and runs once. For repeated runs keep a {@link #plan plan}, or give a result of your own; a device may keep the plan for the next
     * call with the same shape and options, until memory is short or the device is closed. It throws what {@link #plan} and {@link LlaPlan#forward} do.
     */
    default LlaResult forward(LlaInputs inputs, LlaOptions options) {
        try (LlaPlan plan = plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            return result;
        }
    }

    /**
     * The same into a result of the caller's, which takes no new memory.
     *
     * @param result for the inputs' shape, with state if the options keep it
     */
    default void forward(LlaInputs inputs, LlaOptions options, LlaResult result) {
        try (LlaPlan plan = plan(inputs.shape(), options)) {
            plan.forward(inputs, result);
        }
    }

    /**
     * Makes an empty key/value cache on this device, to decode against; close it before the device.
     *
     * @throws DeviceException if the device lacks the memory
     * @throws UnsupportedOperationException if this device does not decode
     */
    default KvCache kvCache(KvCacheShape shape) {
        throw new UnsupportedOperationException("the device " + info().name() + " has no key/value cache");
    }

    /**
     * What this device reaches on plain loops, measured now (about a second): the ceilings that a benchmark compares its
     * work with. Empty where a device has no such measurement.
     */
    default Optional<Ceilings> measureCeilings() {
        return Optional.empty();
    }

    /**
     * One decoding step over keys and values that are not in a cache yet: {@link #forward} for one query per head, by
     * moments and without a tolerance where that is cheaper. For repeated steps keep a {@link #kvCache cache}.
     *
     * @param inputs with Sq = 1; float16 keys and values are kept as such, any other type in float32
     * @throws InvalidInputException if there are several queries per head, a float16 key or value is not finite, or the device cannot take the shape
     * @throws DeviceException if the device lacks the memory or fails
     * @throws UnsupportedOperationException if this device does not decode
     */
    default LlaResult decode(LlaInputs inputs, LlaOptions options) {
        AttentionShape shape = inputs.shape();
        if (shape.queryLength() != 1) {
            throw new InvalidInputException("decoding takes one query per head, but q has " + shape.queryLength()
                    + "; use forward");
        }
        boolean half = inputs.k().type() == DataType.FLOAT16 && inputs.v().type() == DataType.FLOAT16;
        KvCacheShape cacheShape = new KvCacheShape(shape.batch(), shape.kvHeads(), shape.keyLength(), shape.headDim(),
                shape.valueDim(), half ? DataType.FLOAT16 : DataType.FLOAT32);
        try (KvCache cache = kvCache(cacheShape)) {
            cache.append(inputs.k(), inputs.v());
            try (DecodePlan plan = cache.decodePlan(shape.heads(), options)) {
                LlaResult result = plan.newResult();
                plan.decode(inputs.q(), inputs.ridge(), result);
                return result;
            }
        }
    }

    @Override
    void close();

    /**
     * @param fmaFlopsPerSecond independent float32 fused multiply-adds in registers, two flops each
     * @param copyBytesPerSecond a copy in the device's memory beyond every cache, bytes read plus bytes written
     * @param matrixFlopsPerSecond products of float16 matrices with float32 sums on matrix units; 0 where there are none to reach
     */
    record Ceilings(double fmaFlopsPerSecond, double copyBytesPerSecond, double matrixFlopsPerSecond) {}
}
