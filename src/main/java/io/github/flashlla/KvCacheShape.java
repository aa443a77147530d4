package io.github.flashlla;

import java.io.Serializable;
import java.util.Locale;

/**
 * Sizes of a key/value cache. Memory is allocated for the capacity; a sequence's length says how much of it is filled.
 *
 * @param batch B, sequences, at least 1
 * @param kvHeads Hkv, key/value heads, at least 1
 * @param capacity most tokens that a sequence can hold, at least 1
 * @param headDim D of k, 1 to {@value AttentionShape#MAX_DIM}
 * @param valueDim Dv of v, 1 to {@value AttentionShape#MAX_DIM}
 * @param type how elements are stored: {@link DataType#FLOAT32} or {@link DataType#FLOAT16}
 */
public record KvCacheShape(int batch, int kvHeads, int capacity, int headDim, int valueDim, DataType type)
        implements Serializable {

    public KvCacheShape {
        new AttentionShape(batch, kvHeads, kvHeads, 1, capacity, headDim, valueDim); // the same ranges
        if (type != DataType.FLOAT32 && type != DataType.FLOAT16) {
            throw new InvalidInputException("a key/value cache stores float32 or float16, not " + String.valueOf(type).toLowerCase(Locale.ROOT));
        }
    }

    /** The attention problem of one decoding step at full length: H query heads, Sq = 1, Sk = capacity. */
    public AttentionShape step(int heads) {
        return new AttentionShape(batch, heads, kvHeads, 1, capacity, headDim, valueDim);
    }

    /** Bytes of one token's key and value over all key/value heads. */
    public long tokenBytes() {
        return (long) kvHeads * (headDim + valueDim) * type.bytes();
    }

    /** Bytes of keys and values at full length. */
    public long bytes() {
        return Math.multiplyExact((long) batch * capacity, tokenBytes());
    }

    /** Sizes on one line, such as {@code B=16 Hkv=8 capacity=65536 D=64 Dv=64 FLOAT16}. */
    @Override
    public String toString() {
        return "B=" + batch + " Hkv=" + kvHeads + " capacity=" + capacity + " D=" + headDim + " Dv=" + valueDim + " "
                + type;
    }
}
