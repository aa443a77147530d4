package io.github.flashlla;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The tensors of one problem, of one {@link DataType} or several.
 *
 * @param q queries (B,H,Sq,D)
 * @param k keys (B,Hkv,Sk,D)
 * @param v values (B,Hkv,Sk,Dv)
 * @param ridge ridge per query (B,H,Sq), or null to use {@link LlaOptions#ridge()} for all
 */
public record LlaInputs(Tensor q, Tensor k, Tensor v, Tensor ridge) {

    public LlaInputs {
        requireRank("q", q, 4);
        requireRank("k", k, 4);
        requireRank("v", v, 4);
        if (k.dim(0) != q.dim(0) || v.dim(0) != q.dim(0)) {
            throw new InvalidInputException("q, k and v have different batch sizes: " + q.dim(0) + ", " + k.dim(0)
                    + " and " + v.dim(0));
        }
        if (k.dim(3) != q.dim(3)) {
            throw new InvalidInputException("q has head dim " + q.dim(3) + " but k has " + k.dim(3));
        }
        if (v.dim(1) != k.dim(1)) {
            throw new InvalidInputException("k has " + k.dim(1) + " heads but v has " + v.dim(1));
        }
        if (v.dim(2) != k.dim(2)) {
            throw new InvalidInputException("k has length " + k.dim(2) + " but v has " + v.dim(2));
        }
        if (ridge != null) {
            long[] want = {q.dim(0), q.dim(1), q.dim(2)};
            if (!Arrays.equals(ridge.dims(), want)) {
                throw new InvalidInputException("the ridge has shape " + Tensor.shapeString(ridge.dims())
                        + ", but one value per query needs " + Tensor.shapeString(want));
            }
        }
    }

    /** Inputs with one ridge for all queries, from the options. */
    public static LlaInputs of(Tensor q, Tensor k, Tensor v) {
        return new LlaInputs(q, k, v, null);
    }

    /**
     * Where one of q, k and v lies in memory that it shares with others, counted in elements; a row's elements lie side by side.
     *
     * @param offset of the first element
     * @param batch from one batch to the next
     * @param head from one head to the next
     * @param row from one token to the next
     */
    public record Strides(long offset, long batch, long head, long row) {

        private Tensor of(MemorySegment memory, DataType type, long[] dims) {
            if (offset < 0 || offset > memory.byteSize() / type.bytes()) {
                throw new InvalidInputException("offset " + offset + " lies outside the memory of " + memory.byteSize() + " bytes");
            }
            return Tensor.wrap(memory.asSlice(offset * type.bytes()), type, dims, new long[] {batch, head, row, 1});
        }
    }

    /**
     * Inputs that lie in one piece of memory of the caller's in any order of batches, heads and tokens, read where they are. For three
     * pieces of memory, {@link Tensor#wrap(MemorySegment, DataType, long[], long[]) wrap} each.
     *
     * <p>q, k and v of (B,S,H,D) one after the other, B S H D = n:
     * <pre>{@code
     * LlaInputs.of(memory, DataType.FLOAT32, shape, new Strides(0, S * H * D, D, H * D), new Strides(n, S * H * D, D, H * D),
     *         new Strides(2 * n, S * H * D, D, H * D));
     * }</pre>
     *
     * @param memory little-endian elements of {@code type}, from a shared or automatic arena
     * @throws InvalidInputException if an element would lie outside the memory
     */
    public static LlaInputs of(MemorySegment memory, DataType type, AttentionShape shape, Strides q, Strides k, Strides v) {
        return of(q.of(memory, type, shape.queryDims()), k.of(memory, type, shape.keyDims()), v.of(memory, type, shape.valueDims()));
    }

    /**
     * Self-attention of packed q, k and v, as one projection gives them: views, nothing is copied.
     *
     * @param qkv (B,S,H + 2 Hkv,D), a token's query heads, then its key heads, then its value heads; with as many of each also
     *     (B,S,3,H,D)
     */
    public static LlaInputs packed(Tensor qkv, int heads, int kvHeads) {
        long all = heads + 2L * kvHeads;
        if (qkv.rank() < 4 || qkv.rank() > 5 || qkv.size() != qkv.dim(0) * qkv.dim(1) * all * qkv.dim(qkv.rank() - 1)) {
            throw new InvalidInputException("packed q, k and v have shape " + Tensor.shapeString(qkv.dims()) + ", but " + heads + " query and "
                    + kvHeads + " key/value heads need (batch, length, " + all + ", dim)");
        }
        Tensor byHead = qkv.reshape(qkv.dim(0), qkv.dim(1), all, qkv.dim(qkv.rank() - 1)).permute(0, 2, 1, 3);
        return of(byHead.part(1, 0, heads), byHead.part(1, heads, kvHeads), byHead.part(1, heads + kvHeads, kvHeads));
    }

    /** The same with a ridge per query (B,H,Sq). */
    public LlaInputs withRidge(Tensor newRidge) {
        return new LlaInputs(q, k, v, newRidge);
    }

    /**
     * B, H, Hkv, Sq, Sk, D and Dv of these tensors.
     *
     * @throws InvalidInputException if H is no multiple of Hkv, or a size is none that {@link AttentionShape} takes
     */
    public AttentionShape shape() {
        return new AttentionShape(toInt(q.dim(0)), toInt(q.dim(1)), toInt(k.dim(1)), toInt(q.dim(2)),
                toInt(k.dim(2)), toInt(q.dim(3)), toInt(v.dim(3)));
    }

    /** All tensors in this type, converting where needed. */
    public LlaInputs as(DataType type) {
        return new LlaInputs(q.as(type), k.as(type), v.as(type), ridge == null ? null : ridge.as(type));
    }

    /**
     * One value a query; null is none.
     *
     * @throws InvalidInputException if any is not finite and greater than 0
     */
    public static void requireRidges(Tensor ridge) {
        for (long i = 0; ridge != null && i < ridge.size(); i++) {
            double value = ridge.get(i);
            if (!(value > 0) || Double.isInfinite(value)) { // NaN too
                throw new InvalidInputException("the ridge at " + ridge.coordinates(i) + " is " + value
                        + "; every ridge must be finite and greater than 0");
            }
        }
    }

    /**
     * Checks every element: finite inputs, ridges &gt; 0.
     *
     * @throws InvalidInputException naming the tensor and the coordinates of the first bad element
     */
    public void requireFinite() {
        requireFinite("q", q);
        requireFinite("k", k);
        requireFinite("v", v);
        if (ridge != null) {
            requireFinite("ridge", ridge);
        }
        requireRidges(ridge);
    }

    private static void requireFinite(String name, Tensor tensor) {
        long at = tensor.firstNonFinite();
        if (at >= 0) {
            throw new InvalidInputException(name + " holds " + tensor.get(at) + " at " + tensor.coordinates(at)
                    + "; all inputs must be finite");
        }
    }

    private static void requireRank(String name, Tensor tensor, int rank) {
        if (tensor.rank() != rank) {
            throw new InvalidInputException(name + " must have rank " + rank + " (batch, heads, length, dim), not shape "
                    + Tensor.shapeString(tensor.dims()));
        }
    }

    private static int toInt(long size) {
        if (size > Integer.MAX_VALUE) {
            throw new InvalidInputException("a size of " + size + " is more than " + Integer.MAX_VALUE);
        }
        return (int) size;
    }
}
