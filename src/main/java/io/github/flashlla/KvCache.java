package io.github.flashlla;

/**
 * Keys and values of the tokens seen so far, on one device: what a decoding step attends to.
 *
 * <p>Holds B sequences, each of a length of its own, up to a capacity that is known from the start: nothing grows. What is
 * appended is copied (and rounded to the storage type); a float16 cache refuses values beyond 65504. An append that does
 * not fit, or is refused, changes nothing. A cache of another type takes NaN and infinities as they are: {@link DecodePlan#decode} throws a
 * {@link DeviceException} while a query sees such a token.
 *
 * <pre>{@code
 * try (KvCache cache = device.kvCache(new KvCacheShape(1, 8, 4096, 64, 64, DataType.FLOAT16));
 *         DecodePlan plan = cache.decodePlan(32, LlaOptions.defaults())) {
 *     LlaResult result = plan.newResult();
 *     cache.append(promptK, promptV);            // (B,Hkv,n,D) (B,Hkv,n,Dv), as often as wanted
 *     cache.append(k, v);                        // the new token's, n = 1
 *     plan.decode(q, result);                    // (B,H,1,D) -> result.output() (B,H,1,Dv)
 * }
 * }</pre>
 *
 * <p>For one thread at a time, together with its plans: what comes from a second one meanwhile is refused with an
 * {@link IllegalStateException}, and so is every use once the cache or its device is closed.
 */
public interface KvCache extends AutoCloseable {

    /** Sizes and storage type, as given. */
    KvCacheShape shape();

    /**
     * Tokens that a sequence holds, 0 to capacity; 0 once the cache is closed.
     *
     * @param sequence 0 to B - 1, here and below; any other is an {@link InvalidInputException}
     */
    int length(int sequence);

    /**
     * Appends n tokens to one sequence: one while decoding, many in prefill, in chunks of any size.
     *
     * @param k (Hkv,n,D), any element type
     * @param v (Hkv,n,Dv)
     * @throws InvalidInputException if a shape is wrong or the sequence would exceed the capacity
     */
    void append(int sequence, Tensor k, Tensor v);

    /**
     * Appends n tokens to every sequence, each at its own end.
     *
     * @param k (B,Hkv,n,D), any element type
     * @param v (B,Hkv,n,Dv)
     * @throws InvalidInputException if a shape is wrong or any sequence would exceed the capacity
     */
    void append(Tensor k, Tensor v);

    /**
     * Drops a sequence's tokens from position {@code length} on, as after a rejected draft.
     *
     * @throws InvalidInputException if the sequence is not that long
     */
    void truncate(int sequence, int length);

    /** Empties every sequence. */
    void reset();

    /** A copy of one sequence's keys, (1,Hkv,length,D) in float32, as a plan's forward takes them. */
    Tensor keys(int sequence);

    /** A copy of one sequence's values, (1,Hkv,length,Dv) in float32. */
    Tensor values(int sequence);

    /**
     * Prepares to decode with this many query heads, choosing the method by what is cheaper at each step.
     *
     * @param heads H, a multiple of Hkv
     * @throws InvalidInputException if the device cannot take this
     */
    default DecodePlan decodePlan(int heads, LlaOptions options) {
        return decodePlan(heads, options, DecodeMethod.AUTO);
    }

    /**
     * The same with the method given.
     *
     * @throws InvalidInputException if the device, or the method, cannot take this; the message says why
     */
    DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method);

    /** Bytes of the keys and values that the sequences hold now: what one step reads at least. */
    default long bytesInUse() {
        long tokens = 0;
        for (int sequence = 0; sequence < shape().batch(); sequence++) {
            tokens += length(sequence);
        }
        return tokens * shape().tokenBytes();
    }

    @Override
    void close();
}
