package io.github.flashlla.tornado.plan;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import io.github.flashlla.KvCacheShape;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** The device's copy of a cache: the graph that carries it over and appends to it, and which tokens it has. */
final class TokensOnDevice {
    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int STAGED = 64;

    private final TornadoKvCache cache;
    private final BackendDevice entry;
    private final String name = "llaAppend" + GRAPHS.incrementAndGet();
    private final IntArray target;
    private final CacheRows stagedK;
    private final CacheRows stagedV;
    /** Tokens of each sequence that are on the device as they are on the host; -1 before anything is. */
    private final int[] onDevice;

    TokensOnDevice(TornadoKvCache cache, BackendDevice entry) {
        KvCacheShape shape = cache.shape();
        this.cache = cache;
        this.entry = entry;
        int staged = Math.max(shape.batch(), STAGED);
        this.onDevice = new int[shape.batch()];
        Arrays.fill(onDevice, -1);
        this.target = new IntArray(staged);
        this.stagedK = cache.k().staging(staged * shape.kvHeads());
        this.stagedV = cache.v().staging(staged * shape.kvHeads());
    }

    String graphName() {
        return name;
    }

    /** Appends staged tokens; its first run carries the whole cache over. */
    ImmutableTaskGraph graph(GridScheduler grids) {
        KvCacheShape c = cache.shape();
        CacheRows k = cache.k();
        CacheRows v = cache.v();
        IntArray sizes = IntArray.fromElements(target.getSize(), cache.rowsPerSequence(), c.kvHeads());
        TaskGraph appending = new TaskGraph(name)
                .transferToDevice(FIRST_EXECUTION, k.single, k.half, v.single, v.half, sizes)
                .transferToDevice(EVERY_EXECUTION, target, stagedK.single, stagedK.half, stagedV.single, stagedV.half);
        int elements = target.getSize() * c.kvHeads() * Math.max(c.headDim(), c.valueDim());
        new TaskAppender(entry, appending, grids).task("append", TaskAppender.groups(Math.ceilDiv(elements, 64), 64),
                graph -> graph.task("append", CacheLayout::append, new KernelContext(), target, stagedK.single, stagedK.half,
                        stagedV.single, stagedV.half, k.single, k.half, v.single, v.half, sizes, k.halves() ? 1 : 0, c.headDim(),
                        c.valueDim()));
        return appending.persistOnDevice(k.single, k.half, v.single, v.half).snapshot();
    }

    /**
     * Brings the device's copy up to the host's.
     *
     * @param append runs the graph
     */
    void update(Callable<?> append) throws Exception {
        int row = 0;
        boolean first = onDevice[0] < 0;
        for (int sequence = 0; sequence < onDevice.length; sequence++) {
            int length = cache.length(sequence);
            for (int token = first ? length : onDevice[sequence]; token < length; token++) {
                cache.stage(sequence, token, stagedK, stagedV, row);
                target.set(row++, sequence * cache.shape().kvHeads() * cache.rowsPerSequence() + token);
                if (row == target.getSize()) {
                    append(row, append);
                    row = 0;
                }
            }
            onDevice[sequence] = length;
        }
        if (row > 0 || first) { // the first run of the graph carries the whole cache over
            append(row, append);
        }
    }

    private void append(int rows, Callable<?> append) throws Exception {
        for (int row = rows; row < target.getSize(); row++) {
            target.set(row, -1);
        }
        entry.inTurn(append);
    }

    /** Tokens from {@code length} on are no longer what the device has. */
    void forget(int sequence, int length) {
        onDevice[sequence] = Math.min(onDevice[sequence], length);
    }

    long bytes() {
        return stagedK.bytes() + stagedV.bytes() + (long) Integer.BYTES * target.getSize();
    }
}
