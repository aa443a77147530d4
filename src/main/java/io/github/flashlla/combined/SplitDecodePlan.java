package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.combined.SplitRoom.Given;
import io.github.flashlla.combined.SplitRoom.Left;
import io.github.flashlla.precise.FloatDecodePlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.spi.AbstractDecodePlan;
import io.github.flashlla.spi.PartialDecode.Found;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Decoding where each part holds some of the keys: all parts gather, {@link MergedKeys} solves here, all parts weigh their values, and
 * the outputs are added by the parts' shares in the weight.
 */
final class SplitDecodePlan extends AbstractDecodePlan<SplitCache> implements FloatDecodePlan {
    private final Crew crew;
    private final int number;
    private final SplitRoom room;
    private final SharedMemory given;
    private final SharedMemory left;
    private final int givenNumber;
    private final int leftNumber;
    /** Of the parts, as the last step left it. */
    private volatile long workspaceBytes;
    private final MergedKeys merged;
    private final List<Found> found = new ArrayList<>();

    SplitDecodePlan(SplitCache cache, int heads, LlaOptions options) {
        super(cache.device().state(), cache, heads, options);
        this.crew = cache.device().crew();
        this.number = crew.number();
        this.room = new SplitRoom(shape.batch() * heads, shape.headDim(), shape.valueDim());
        this.merged = new MergedKeys(room.rows(), room.dim());
        for (int part = 0; part < cache.parts(); part++) {
            found.add(Found.of(room.rows(), room.dim()));
        }
        long leftBytes = Math.multiplyExact(room.leftBytes(), (long) cache.parts());
        this.given = SharedMemory.create(room.givenBytes(), room.givenBytes());
        SharedMemory made = null;
        try {
            made = SharedMemory.create(leftBytes, leftBytes);
            this.left = made;
            this.givenNumber = crew.share(given, false);
            this.leftNumber = crew.share(left, true);
            this.workspaceBytes = sum(cache.all(part -> new SplitOrders.MakeSplitStep(number, cache.number(), room, part, shape.group(), options,
                    givenNumber, leftNumber), Long.class));
        } catch (RuntimeException e) {
            crew.allQuietly(new SplitOrders.CloseSplitStep(number));
            given.close();
            if (made != null) {
                made.close();
            }
            throw e;
        }
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result, KeptState kept) {
        alone(() -> step(q, ridge, result, kept));
    }

    private void step(Tensor q, Tensor ridge, LlaResult result, KeptState kept) {
        cache.requireStep(shape, q, ridge, result);
        long start = System.nanoTime();
        double[] queries = new double[room.rows() * room.dim()];
        double[] ridges = new double[room.rows()];
        Arrays.setAll(queries, q::get);
        Arrays.setAll(ridges, row -> ridge == null ? options.ridge() : ridge.get(row));
        room.write(given.segment(), Given.Q, queries);
        room.write(given.segment(), Given.RIDGE, ridges);
        cache.all(part -> new SplitOrders.Gather(number, cache.seen(part, options.window())), Integer.class);
        for (int part = 0; part < found.size(); part++) {
            room.read(left.segment(), part, Left.LOG_SUM_EXP, found.get(part).logSumExp());
            room.read(left.segment(), part, Left.KBAR, found.get(part).kbar());
            room.read(left.segment(), part, Left.A, found.get(part).a());
        }
        merged.solve(found, queries, ridges);
        room.write(given.segment(), Given.X, merged.x);
        room.write(given.segment(), Given.KBAR, merged.kbar);
        workspaceBytes = sum(cache.all(part -> new SplitOrders.Output(number), Long.class));
        crew.requireUninterrupted();
        store(result, kept);
        result.setPairIterations(0);
        result.setComputedBy(lastMethod().label());
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private void store(LlaResult result, KeptState kept) {
        double[] o = new double[room.rows() * room.valueDim()];
        double[] one = new double[o.length];
        for (int part = 0; part < found.size(); part++) {
            room.read(left.segment(), part, Left.O, one);
            for (int i = 0; i < o.length; i++) {
                o[i] += merged.share(found.get(part), i / room.valueDim()) * one[i];
            }
        }
        for (int i = 0; i < o.length; i++) {
            result.output().set(i, o[i]);
        }
        for (int row = 0; row < room.rows(); row++) {
            result.logSumExp().set(row, merged.logSumExp[row]);
            result.iterations()[row] = 0;
            result.residual()[row] = (float) merged.residual[row];
        }
        for (int i = 0; kept != null && i < merged.x.length; i++) {
            kept.kbar().set(i, merged.kbar[i]);
            kept.x().set(i, merged.x[i]);
        }
    }

    @Override
    public DecodeMethod lastMethod() {
        return DecodeMethod.COVARIANCE;
    }

    private static long sum(Map<PartProcess, Long> bytes) {
        return bytes.values().stream().mapToLong(Long::longValue).sum();
    }

    @Override
    public long workspaceBytes() {
        return room.givenBytes() + found.size() * room.leftBytes() + found.stream().mapToLong(Found::bytes).sum() + merged.bytes() + workspaceBytes;
    }

    @Override
    protected void release() {
        crew.allQuietly(new SplitOrders.CloseSplitStep(number));
        crew.allQuietly(new Orders.CloseMemory(givenNumber));
        crew.allQuietly(new Orders.CloseMemory(leftNumber));
        given.close();
        left.close();
    }
}
