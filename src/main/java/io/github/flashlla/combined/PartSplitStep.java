package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.SplitRoom.Given;
import io.github.flashlla.combined.SplitRoom.Left;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.spi.PartialDecode.Found;
import java.lang.foreign.MemorySegment;

/** A part's decoding steps over the keys that it holds. Its sequences are key/value heads of the whole. */
final class PartSplitStep implements AutoCloseable {
    private final SplitRoom room;
    private final int part;
    private final MemorySegment given;
    private final MemorySegment left;
    private final PartialDecode decode;
    private final Tensor q;
    private final Tensor ridge;
    private final Found found;
    private final double[] queries;
    private final double[] ridges;
    private final double[] x;
    private final double[] kbar;
    private final double[] o;

    /** @param heads query heads that share a key/value head */
    PartSplitStep(SplitRoom room, int part, MemorySegment given, MemorySegment left, KvCache cache, int heads, LlaOptions options) {
        this.room = room;
        this.part = part;
        this.given = given;
        this.left = left;
        this.decode = cache instanceof PartialDecode.Cache able ? able.partialDecode(heads, options)
                : new HostPartialDecode(cache, heads, options);
        AttentionShape shape = cache.shape().step(heads);
        this.queries = new double[room.rows() * room.dim()];
        this.ridges = new double[room.rows()];
        this.q = Tensor.wrap(MemorySegment.ofArray(queries), DataType.FLOAT64, shape.queryDims());
        this.ridge = Tensor.wrap(MemorySegment.ofArray(ridges), DataType.FLOAT64, shape.rowDims());
        this.found = Found.of(room.rows(), room.dim());
        this.x = new double[queries.length];
        this.kbar = new double[queries.length];
        this.o = new double[room.rows() * room.valueDim()];
    }

    long workspaceBytes() {
        return decode.workspaceBytes() + found.bytes() + Double.BYTES * (3L * queries.length + ridges.length + o.length);
    }

    void gather(int[] seen) {
        room.read(given, Given.Q, queries);
        room.read(given, Given.RIDGE, ridges);
        decode.gather(q, ridge, seen, found);
        room.write(left, part, Left.LOG_SUM_EXP, found.logSumExp());
        room.write(left, part, Left.KBAR, found.kbar());
        room.write(left, part, Left.A, found.a());
    }

    void output() {
        room.read(given, Given.X, x);
        room.read(given, Given.KBAR, kbar);
        decode.output(x, kbar, o);
        room.write(left, part, Left.O, o);
    }

    @Override
    public void close() {
        decode.close();
    }
}
