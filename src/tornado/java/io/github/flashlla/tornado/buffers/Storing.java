package io.github.flashlla.tornado.buffers;

import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.device.Transfers;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies an array to a tensor on other threads, row by row, with a look at each row on the way: what has come from the device while the rest comes. */
public final class Storing implements Transfers.Receiver {
    /** Elements that one task copies. */
    private static final int TOGETHER = 1 << 16;

    private final FloatArray from;
    private final Tensor to;
    private final int dim;
    private final Look look;
    private final List<CompletableFuture<?>> tasks = new ArrayList<>();
    /** Elements that a task has been given. */
    private int given;

    /** A look at rows that are copied, on any thread. */
    @FunctionalInterface
    public interface Look {
        /**
         * @param at position in the array of the first element
         * @param values its elements and those after it
         * @param count how many of {@code values}
         */
        void at(int at, float[] values, int count);
    }

    /**
     * @param from may be longer than {@code to}
     * @param to not confined to a thread
     * @param dim elements of a row
     */
    public Storing(FloatArray from, Tensor to, int dim, Look look) {
        this.from = from;
        this.to = to;
        this.dim = dim;
        this.look = look;
    }

    /** The same without a look. */
    public Storing(FloatArray from, Tensor to) {
        this(from, to, 1, (at, values, count) -> { });
    }

    /** Has parts copied as a run reads them. */
    public void receiveBy(Transfers transfers) {
        transfers.receive(from, this);
    }

    @Override
    public void read(int from, int to) {
        int end = (int) Math.min(to, this.to.size()) / dim * dim;
        int each = Math.max(1, TOGETHER / dim) * dim;
        while (given < end) {
            int at = given;
            int count = Math.min(each, end - at);
            tasks.add(CompletableFuture.runAsync(() -> copy(at, count)));
            given += count;
        }
    }

    private void copy(int at, int count) {
        float[] values = FloatArrays.room(dim);
        int each = values.length / dim * dim;
        MemorySegment elements = FloatArrays.elements(from);
        for (int done = 0; done < count; done += each) {
            int some = Math.min(each, count - done);
            MemorySegment.copy(elements, ValueLayout.JAVA_FLOAT, (long) (at + done) * Float.BYTES, values, 0, some);
            to.copyFrom(values, 0, at + done, some);
            look.at(at + done, values, some);
        }
    }

    /** Copies what nobody told of, and waits for all. */
    public void finish() {
        read(given, from.getSize());
        await();
    }

    /** Waits for all that was begun, whether or not some of it fails. */
    public void await() {
        Failures failures = new Failures();
        tasks.forEach(task -> failures.in(() -> {
            task.join();
        }));
        tasks.clear();
        failures.throwFirst();
    }
}
