package io.github.flashlla;

import java.io.Serializable;

/**
 * Sizes of one Local Linear Attention problem.
 *
 * @param batch B, at least 1
 * @param heads H, query heads; a multiple of {@code kvHeads}
 * @param kvHeads Hkv, key/value heads, at least 1; query head h reads key/value head h / (H / Hkv)
 * @param queryLength Sq, at least 1
 * @param keyLength Sk, at least 1
 * @param headDim D of q and k, 1 to {@value #MAX_DIM}
 * @param valueDim Dv of v and o, 1 to {@value #MAX_DIM}
 */
public record AttentionShape(
        int batch, int heads, int kvHeads, int queryLength, int keyLength, int headDim, int valueDim)
        implements Serializable {

    /** Largest head and value dim. */
    public static final int MAX_DIM = 256;

    /** No memory holds as many; products of sizes stay far within a long. */
    private static final long MOST_ROWS = 1L << 40;

    public AttentionShape {
        requirePositive("batch", batch);
        requirePositive("heads", heads);
        requirePositive("key/value heads", kvHeads);
        requirePositive("query length", queryLength);
        requirePositive("key length", keyLength);
        requireDim("head dim", headDim);
        requireDim("value dim", valueDim);
        if (heads % kvHeads != 0) {
            throw new InvalidInputException("the " + heads + " query heads are not a multiple of the " + kvHeads
                    + " key/value heads; grouped queries need H = n * Hkv");
        }
        requireCountable("batch times heads", (long) batch * heads, Integer.MAX_VALUE);
        requireCountable("queries of all heads", (long) batch * heads * queryLength, MOST_ROWS);
        requireCountable("keys of all heads", (long) batch * kvHeads * keyLength, MOST_ROWS);
    }

    /** Self-attention: as many keys as queries, as many key/value heads as query heads, Dv = D. */
    public static AttentionShape square(int batch, int heads, int length, int headDim) {
        return new AttentionShape(batch, heads, heads, length, length, headDim, headDim);
    }

    /** Query heads that share one key/value head. */
    public int group() {
        return heads / kvHeads;
    }

    /** (B,H,Sq,D) */
    public long[] queryDims() {
        return new long[] {batch, heads, queryLength, headDim};
    }

    /** (B,Hkv,Sk,D) */
    public long[] keyDims() {
        return new long[] {batch, kvHeads, keyLength, headDim};
    }

    /** (B,Hkv,Sk,Dv) */
    public long[] valueDims() {
        return new long[] {batch, kvHeads, keyLength, valueDim};
    }

    /** (B,H,Sq,Dv) */
    public long[] outputDims() {
        return new long[] {batch, heads, queryLength, valueDim};
    }

    /** (B,H,Sq) */
    public long[] rowDims() {
        return new long[] {batch, heads, queryLength};
    }

    /** Key/value head (0 to B*Hkv-1) that query {@code row} (0 to B*H*Sq-1) reads. */
    public int kvHeadOf(int row) {
        int head = row / queryLength;
        return head / heads * kvHeads + head % heads / group();
    }

    /** Number of queries over all batches and heads, B*H*Sq. */
    public long rows() {
        return (long) batch * heads * queryLength;
    }

    /**
     * Number of keys that query {@code i} sees. Causal masking is aligned bottom-right: query i sees keys
     * j &lt;= i + (Sk - Sq).
     */
    public int visibleKeys(int i, boolean causal) {
        return causal ? Math.clamp((long) i + 1 + keyLength - queryLength, 0, keyLength) : keyLength;
    }

    /** First key that query {@code i} sees; those up to {@link #visibleKeys} follow. */
    public int firstKey(int i, LlaOptions options) {
        int end = visibleKeys(i, options.causal());
        return options.window() == 0 ? 0 : Math.max(0, end - options.window());
    }

    /** Number of keys from {@link #firstKey} on that query {@code i} sees. */
    public int seenKeys(int i, LlaOptions options) {
        return visibleKeys(i, options.causal()) - firstKey(i, options);
    }

    /** Number of (query, key) pairs computed over all batches and heads. */
    public long pairs(boolean causal) {
        long perHead = 0;
        for (int i = 0; i < queryLength; i++) {
            perHead += visibleKeys(i, causal);
        }
        return perHead * batch * heads;
    }

    /** Bytes of q, k, v and o together, at {@code bytesPerElement}. */
    public long tensorBytes(int bytesPerElement) {
        long perQuery = (long) batch * heads * queryLength * (headDim + valueDim);
        long perKey = (long) batch * kvHeads * keyLength * (headDim + valueDim);
        return (perQuery + perKey) * bytesPerElement;
    }

    /** Sizes on one line, such as {@code B=1 H=8 Hkv=2 Sq=16 Sk=4096 D=64 Dv=64}. */
    @Override
    public String toString() {
        return "B=" + batch + " H=" + heads + " Hkv=" + kvHeads + " Sq=" + queryLength + " Sk=" + keyLength + " D="
                + headDim + " Dv=" + valueDim;
    }

    private static void requirePositive(String what, int value) {
        if (value < 1) {
            throw new InvalidInputException(what + " must be at least 1, not " + value);
        }
    }

    private static void requireCountable(String what, long count, long most) {
        if (count > most) {
            throw new InvalidInputException("the " + what + " are " + count + ", and at most " + most + " can be computed with");
        }
    }

    private static void requireDim(String what, int value) {
        if (value < 1 || value > MAX_DIM) {
            throw new InvalidInputException(what + " must be 1 to " + MAX_DIM + ", not " + value);
        }
    }
}
