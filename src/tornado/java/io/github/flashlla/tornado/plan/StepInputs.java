package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.device.Transfers;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** A decoding step's inputs in the host's arrays, and which of them each of the plan's graphs, which have copies of their own, has already. */
final class StepInputs {
    private final AttentionShape shape;
    private final LlaOptions options;
    private final DecodeArrays io;
    private final float[] queries;
    /** By a graph's number, the versions that it got last. */
    private final Map<Integer, Versions> sent = new HashMap<>();
    private Versions now = new Versions(0, 0);
    /** Whether the arrays hold the options' ridge. */
    private boolean sharedRidge;
    private float leastRidge;
    private int longest;
    private boolean anyEmpty;

    /** Numbers that rise when the array's elements change. */
    private record Versions(long lengths, long ridges) {}

    StepInputs(AttentionShape shape, LlaOptions options, DecodeArrays io) {
        this.shape = shape;
        this.options = options;
        this.io = io;
        this.queries = new float[io.q().getSize()];
    }

    /**
     * Copies a step's inputs.
     *
     * @param q (B,H,1,D)
     * @param ridge (B,H,1), or null for the options'
     * @param lengths of each sequence
     */
    void load(Tensor q, Tensor ridge, IntUnaryOperator lengths) {
        float scale = (float) options.scaleFor(shape.headDim());
        q.copyTo(0, queries, 0, queries.length);
        FloatArrays.copy(queries, io.q());
        for (int i = 0; i < queries.length; i++) {
            queries[i] *= scale;
        }
        FloatArrays.copy(queries, io.scaledQ());
        now = new Versions(now.lengths + (loadLengths(lengths) ? 1 : 0), now.ridges + (loadRidges(ridge) ? 1 : 0));
    }

    /** Whether they are others than before. */
    private boolean loadRidges(Tensor ridge) {
        if (ridge == null && sharedRidge) {
            return false;
        }
        sharedRidge = ridge == null;
        leastRidge = Float.MAX_VALUE;
        for (int row = 0; row < io.ridges().getSize(); row++) {
            float value = (float) (ridge == null ? options.ridge() : ridge.get(row));
            io.ridges().set(row, value);
            leastRidge = Math.min(leastRidge, value);
        }
        return true;
    }

    private boolean loadLengths(IntUnaryOperator lengths) {
        boolean changed = false;
        longest = 0;
        anyEmpty = false;
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            int length = lengths.applyAsInt(sequence);
            changed |= length != io.lengths().get(sequence);
            io.lengths().set(sequence, length);
            longest = Math.max(longest, length);
            anyEmpty |= length == 0;
        }
        return changed;
    }

    float leastRidge() {
        return leastRidge;
    }

    int longest() {
        return longest;
    }

    /**
     * Spares a graph the arrays that it need not get again.
     *
     * @param state what its tasks leave of their solves, and write before they read it, but not for an empty sequence
     */
    Transfers transfers(int graph, FloatArray[] state) {
        Transfers transfers = new Transfers();
        Versions last = sent.get(graph);
        if (last == null) {
            return transfers;
        }
        if (last.lengths == now.lengths) {
            transfers.spare(io.lengths());
        }
        if (last.ridges == now.ridges) {
            transfers.spare(io.ridges());
        }
        for (FloatArray array : anyEmpty ? new FloatArray[0] : state) {
            transfers.spare(array);
        }
        return transfers;
    }

    /** Notes that a graph has run with what was loaded last. */
    void ran(int graph) {
        sent.put(graph, now);
    }
}
