package io.github.flashlla.jvm.decode;

import static io.github.flashlla.jvm.decode.DecodeLoops.TILE;

import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Keys or values where their owner has them, (B,Hkv,Sk,dim) of any type: no copy is kept, a tile is turned whenever it is read. */
public final class TensorTiles implements TokenTiles {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Tensor tensor;
    private final int dim;

    public TensorTiles(Tensor tensor) {
        this.tensor = tensor;
        this.dim = (int) tensor.dim(3);
    }

    @Override
    public int dim() {
        return dim;
    }

    /** One thread's scratch memory for a tile. */
    static final class Room {
        private final float[] rows;
        private final float[] turned;

        Room(int dim) {
            rows = new float[TILE * dim];
            turned = new float[TILE * dim];
        }

        long bytes() {
            return (long) Float.BYTES * (rows.length + turned.length);
        }
    }

    /** Writes a tile {@code [dim][token]} in float32 to the start of {@code target}, 0 beyond the sequence's last token. */
    void load(int sequence, int kvHead, int token, Room room, MemorySegment target) {
        long length = tensor.dim(2);
        int n = (int) Math.min(TILE, length - token);
        tensor.copyTo(((sequence * tensor.dim(1) + kvHead) * length + token) * dim, room.rows, 0, n * dim);
        if (n < TILE) {
            Arrays.fill(room.turned, 0);
        }
        for (int d = 0; d < dim; d++) {
            for (int j = 0; j < n; j++) {
                room.turned[d * TILE + j] = room.rows[j * dim + d];
            }
        }
        MemorySegment.copy(room.turned, 0, target, FLOAT, 0, TILE * dim);
    }
}
