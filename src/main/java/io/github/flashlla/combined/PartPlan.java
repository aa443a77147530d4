package io.github.flashlla.combined;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo.Trait;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.QuerySolves;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/** A part's plans of a divided problem, one for each piece that it computes. */
final class PartPlan implements AutoCloseable {
    private final Device device;
    private final Tensors tensors;
    private final LlaOptions options;
    private final boolean softmax;
    private final Map<Integer, Room> rooms = new TreeMap<>();
    /** When the piece that ended last did. */
    private long ended = System.nanoTime();

    PartPlan(Device device, Tensors tensors, LlaOptions options, boolean softmax) {
        this.device = device;
        this.tensors = tensors;
        this.options = options;
        this.softmax = softmax;
    }

    /**
     * Element types of the inputs as they lie in shared memory, and how often they have been written.
     *
     * @param ridge null where the options' ridge is meant
     */
    record Given(DataType q, DataType k, DataType v, DataType ridge, long serial) implements Serializable {}

    /** A piece's plan, and what its last forward pass read and wrote. */
    private static final class Room {
        private final LlaPlan plan;
        private final LlaResult result;
        private LlaInputs inputs;
        private long serial = -1;
        private LlaGradients gradients;

        Room(LlaPlan plan, LlaResult result) {
            this.plan = plan;
            this.result = result;
        }

        /** With the tensors that only the part has. */
        long workspaceBytes() {
            long bytes = plan.workspaceBytes();
            if (result.keepsState()) {
                bytes += result.kbar().byteSize() + result.x().byteSize();
            }
            if (gradients != null) {
                bytes += gradients.dq().byteSize() + gradients.dk().byteSize() + gradients.dv().byteSize() + gradients.dridge().byteSize();
            }
            return bytes;
        }
    }

    /** Makes the plans of these pieces; returns each one's workspace. */
    long[] prepare(int[] pieces) {
        return Arrays.stream(pieces).mapToLong(piece -> room(piece).workspaceBytes()).toArray();
    }

    private Room room(int piece) {
        synchronized (rooms) {
            return rooms.computeIfAbsent(piece, n -> {
                var shape = tensors.layout().pieces().get(n).shape(tensors.layout().whole());
                LlaPlan plan = softmax ? device.softmaxPlan(shape, options) : device.plan(shape, options);
                return new Room(plan, tensors.room(n, plan, device.info().has(Trait.EXACT)));
            });
        }
    }

    /** One thread at a time for each piece. */
    Outcome forward(int piece, Given given) {
        long start = System.nanoTime();
        Room room = room(piece);
        forward(piece, room, given);
        tensors.leave(piece, room.result);
        return told(room, room.result, start);
    }

    /** Of pieces that overlap, the wall time that each adds. */
    private Outcome told(Room room, QuerySolves solves, long start) {
        synchronized (rooms) {
            long from = Math.max(start, ended);
            ended = System.nanoTime();
            return Outcome.of(solves, null).lasting(ended - from).holding(room.workspaceBytes());
        }
    }

    private void forward(int piece, Room room, Given given) {
        room.serial = -1;
        room.inputs = new LlaInputs(tensors.of(Part.Q, piece, given.q), tensors.of(Part.K, piece, given.k),
                tensors.of(Part.V, piece, given.v), given.ridge == null ? null : tensors.of(Part.RIDGE, piece, given.ridge));
        room.plan.forward(room.inputs, room.result);
        room.serial = given.serial;
    }

    /** A piece whose forward pass ran elsewhere, or on other inputs, runs it again first. */
    Outcome backward(int piece, Given given, DataType gradient) {
        long start = System.nanoTime();
        Room room = room(piece);
        if (room.serial != given.serial) {
            forward(piece, room, given);
        }
        room.gradients = room.gradients == null ? room.plan.newGradients() : room.gradients;
        Tensor from = tensors.of(Part.GRADIENT, piece, gradient);
        room.plan.backward(room.inputs, room.result, from, room.gradients);
        tensors.leave(piece, room.gradients);
        return told(room, room.gradients, start);
    }

    @Override
    public void close() {
        rooms.values().forEach(room -> room.plan.close());
        rooms.clear();
    }
}
