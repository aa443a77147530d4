package io.github.flashlla.jvm.decode;

import static io.github.flashlla.jvm.decode.DecodeLoops.TILE;

import io.github.flashlla.DataType;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Keys or values of a cache: (B,Hkv,tiles,dim,{@value DecodeLoops#TILE}), a tile's tokens innermost, in float16 in the order of
 * {@link DecodeLoops#halfPosition}. What a tile holds beyond its sequence's last token is 0.
 */
public final class CacheTiles implements TokenTiles {

    private final KvCacheShape shape;
    private final int dim;
    private final int tiles;
    private final Tensor memory;

    /** @param dim D for keys, Dv for values */
    public CacheTiles(Arena arena, KvCacheShape shape, int dim) {
        this.shape = shape;
        this.dim = dim;
        this.tiles = Math.ceilDiv(shape.capacity(), TILE);
        this.memory = Tensor.allocate(arena, shape.type(), shape.batch(), shape.kvHeads(), tiles, dim, TILE);
    }

    @Override
    public int dim() {
        return dim;
    }

    /** Whether elements are float16; float32 otherwise. */
    boolean half() {
        return memory.type() == DataType.FLOAT16;
    }

    MemorySegment segment() {
        return memory.segment();
    }

    long tileBytes() {
        return (long) dim * TILE * memory.type().bytes();
    }

    /** Byte offset of the tile that holds a token. */
    long offset(int sequence, int kvHead, int token) {
        return element(sequence, kvHead, token - token % TILE, 0) * memory.type().bytes();
    }

    private long element(int sequence, int kvHead, int token, int d) {
        long tile = ((long) sequence * shape.kvHeads() + kvHead) * tiles + token / TILE;
        int position = half() ? DecodeLoops.halfPosition(token % TILE) : token % TILE;
        return (tile * dim + d) * TILE + position;
    }

    /** Copies rows {@code row} and on of {@code source} (..., dim) to tokens {@code token} and on. */
    public void put(int sequence, int kvHead, int token, Tensor source, long row, int tokens) {
        for (int from = 0; from < tokens;) {
            int n = Math.min(tokens - from, TILE - (token + from) % TILE);
            if ((token + from) % TILE == 0 && n < TILE) {
                memory.segment().asSlice(offset(sequence, kvHead, token + from), tileBytes()).fill((byte) 0);
            }
            for (int d = 0; d < dim; d++) {
                for (int j = from; j < from + n; j++) {
                    memory.set(element(sequence, kvHead, token + j, d), source.get((row + j) * dim + d));
                }
            }
            from += n;
        }
    }

    /** Copies the first {@code tokens} tokens to rows {@code row} and on of {@code target} (..., dim). */
    public void copyTo(Tensor target, long row, int sequence, int kvHead, int tokens) {
        for (int token = 0; token < tokens; token++) {
            for (int d = 0; d < dim; d++) {
                target.set((row + token) * dim + d, memory.get(element(sequence, kvHead, token, d)));
            }
        }
    }

    /** Makes 0 again what a tile holds from position {@code length} on; tiles beyond it are emptied when next written to. */
    public void clear(int sequence, int length) {
        for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
            for (int token = length; token % TILE != 0; token++) {
                for (int d = 0; d < dim; d++) {
                    memory.set(element(sequence, kvHead, token, d), 0);
                }
            }
        }
    }
}
