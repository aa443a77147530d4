package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.jvm.decode.DecodeCost;
import io.github.flashlla.jvm.decode.DecodeLoops;
import io.github.flashlla.jvm.decode.HeadGroupStep;
import io.github.flashlla.jvm.decode.SliceTeam;
import io.github.flashlla.jvm.decode.SliceWalk;
import io.github.flashlla.jvm.decode.TokenTiles;
import io.github.flashlla.precise.FloatDecodePlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.spi.AbstractDecodePlan;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Decoding on this JVM. Sequences and key/value heads are units of work, longest first, one thread each: a thread that has
 * just read a unit's keys finds them in cache when it reads them again. A unit longer than half a thread's fair share, or
 * whose keys would not stay in the threads' common cache beside another thread's, is cut into slices instead, on all threads.
 */
final class JvmDecodePlan extends AbstractDecodePlan<AbstractKvCache> implements FloatDecodePlan {

    /** Below this many tokens a unit is not worth waking other threads for: they cost tens of microseconds. */
    private static final int SHORTEST_SPLIT = 2048;

    private static final int SLICES_PER_THREAD = 2;

    private static final double FADING = 0.98;

    private record Work(int sequence, int kvHead, int length) {}

    private final WorkerPool pool;
    private final DecodeMethod method;
    private final SliceWalk[] tiles;
    private final HeadGroupStep[] units;
    private final HeadGroupStep split;
    private DecodeMethod lastMethod;
    /** Iterations per key of the last step; the next step expects as many. */
    private double expectedIterations = DecodeCost.EXPECTED_ITERATIONS;

    JvmDecodePlan(DeviceState device, AbstractKvCache cache, TokenTiles k, TokenTiles v, WorkerPool pool, DecodeLoops kernels, int heads,
            LlaOptions options, DecodeMethod method) {
        super(device, cache, heads, options);
        this.pool = pool;
        this.method = method;
        this.lastMethod = method;
        this.tiles = new SliceWalk[pool.threads()];
        this.units = new HeadGroupStep[pool.threads()];
        for (int worker = 0; worker < pool.threads(); worker++) {
            tiles[worker] = new SliceWalk(k, v, kernels, shape.group());
            units[worker] = new HeadGroupStep(cache.shape(), shape.group(), options, 1, method);
        }
        this.split = new HeadGroupStep(cache.shape(), shape.group(), options, slices(), method);
    }

    private int slices() {
        return SLICES_PER_THREAD * pool.threads();
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result, KeptState kept) {
        alone(() -> step(q, ridge, result, kept));
    }

    private void step(Tensor q, Tensor ridge, LlaResult result, KeptState kept) {
        cache.requireStep(shape, q, ridge, result);
        long start = System.nanoTime();
        List<Work> whole = new ArrayList<>();
        List<Work> cut = new ArrayList<>();
        long share = cache.bytesInUse() / cache.shape().tokenBytes() * shape.kvHeads() / pool.threads();
        int longest = 0;
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            int length = cache.length(sequence);
            longest = Math.max(longest, length);
            for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
                if (length == 0) {
                    storeEmpty(sequence, kvHead, result, kept);
                } else {
                    int seen = seen(length);
                    boolean cutIt = seen >= SHORTEST_SPLIT
                            && (2L * seen > share || DecodeCost.keyBytes(cache.shape(), seen) > DecodeCost.CACHED_BYTES);
                    (cutIt ? cut : whole).add(new Work(sequence, kvHead, length));
                }
            }
        }
        lastMethod = methodFor(longest);
        result.setComputedBy(lastMethod.label());
        if (!cut.isEmpty()) {
            onAllThreads(cut, q, ridge, result, kept);
        }
        whole.sort(Comparator.comparingInt(Work::length).reversed());
        pool.forEach(Math.min(pool.threads(), whole.size()), whole.size(), (worker, index) -> {
            Work work = whole.get((int) index);
            units[worker].run(work.sequence, work.kvHead, work.length, methodFor(work.length),
                    job -> job.run(tiles[worker], 0), q, ridge, result, kept);
        });
        result.setPairIterations(takePairIterations());
        expectedIterations = expect(result.pairIterations(), Stream.concat(whole.stream(), cut.stream()));
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private void onAllThreads(List<Work> cut, Tensor q, Tensor ridge, LlaResult result, KeptState kept) {
        SliceTeam team = new SliceTeam(slices());
        pool.forEach(pool.threads(), pool.threads(), (worker, index) -> {
            if (index > 0) {
                team.help(tiles[worker]);
                return;
            }
            try {
                for (Work work : cut) {
                    split.run(work.sequence, work.kvHead, work.length, methodFor(work.length),
                            job -> team.run(tiles[worker], job), q, ridge, result, kept);
                }
            } finally {
                team.dismiss();
            }
        });
    }

    /** Tokens that the newest one sees. */
    private int seen(int length) {
        return options.window() == 0 ? length : Math.min(length, options.window());
    }

    private DecodeMethod methodFor(int length) {
        return method == DecodeMethod.AUTO
                ? DecodeCost.choose(cache.shape(), shape.group(), seen(length), expectedIterations) : method;
    }

    /** After a step without iterations the expectation decays, so that conjugate gradients get another chance. */
    private double expect(long pairIterations, Stream<Work> done) {
        long pairs = done.filter(work -> methodFor(work.length) == DecodeMethod.MATRIX_FREE)
                .mapToLong(work -> (long) seen(work.length) * shape.group()).sum();
        return pairs > 0 ? (double) pairIterations / pairs : FADING * expectedIterations;
    }

    private long takePairIterations() {
        long sum = split.takePairIterations();
        for (HeadGroupStep unit : units) {
            sum += unit.takePairIterations();
        }
        return sum;
    }

    /** A sequence without tokens: output 0, nothing to solve. */
    private void storeEmpty(int sequence, int kvHead, LlaResult result, KeptState kept) {
        for (int g = 0; g < shape.group(); g++) {
            int row = (sequence * shape.kvHeads() + kvHead) * shape.group() + g;
            for (int e = 0; e < shape.valueDim(); e++) {
                result.output().set((long) row * shape.valueDim() + e, 0);
            }
            if (kept != null) {
                for (int d = 0; d < shape.headDim(); d++) {
                    kept.kbar().set((long) row * shape.headDim() + d, 0);
                    kept.x().set((long) row * shape.headDim() + d, 0);
                }
            }
            result.logSumExp().set(row, Double.NEGATIVE_INFINITY);
            result.iterations()[row] = 0;
            result.residual()[row] = 0;
        }
    }

    @Override
    public DecodeMethod lastMethod() {
        return lastMethod;
    }

    @Override
    public long workspaceBytes() {
        long bytes = split.bytes();
        for (int worker = 0; worker < units.length; worker++) {
            bytes += units[worker].bytes() + tiles[worker].bytes();
        }
        return bytes;
    }

    @Override
    protected void release() {} // its memory is left to the garbage collector
}
