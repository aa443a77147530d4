package io.github.flashlla.tornado.device;

import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * How one run of a graph departs from copying each of its arrays as a whole: what it does not send, what is filled while other arrays are
 * sent, what is sent from elsewhere, and who takes parts of an array while the rest of it is read. Arrays count by identity.
 */
public final class Transfers {
    /** Bytes of which either all can be read or none. */
    private static final int SMALLEST_PAGE = 4096;

    private final Set<Object> spared = Collections.newSetFromMap(new IdentityHashMap<>());
    private final Map<Object, Filling> fillings = new IdentityHashMap<>();
    private final Map<Object, MemorySegment> sources = new IdentityHashMap<>();
    private final Map<Object, Receiver> receivers = new IdentityHashMap<>();
    private volatile Measured measured;

    /** Takes what was read from the device. */
    @FunctionalInterface
    public interface Receiver {
        /**
         * Elements {@code from} to {@code to} are in the host's array; called from first to last, on the thread that reads.
         *
         * @param to exclusive
         */
        void read(int from, int to);
    }

    /**
     * What was seen of the run's times while it had the device to itself.
     *
     * @param clock null without a clock
     * @param readNanos host time that copies of whole arrays from the device took
     * @param partNanos the same of arrays in parts, which TornadoVM's profiler does not see
     */
    record Measured(RunClock.Times clock, long readNanos, long partNanos) {}

    void measured(Measured seen) {
        measured = seen;
    }

    /** Of the last run with these. */
    Measured measured() {
        return measured;
    }

    /** The device has this array from an earlier run, or does not read it in this one. */
    public void spare(Object array) {
        spared.add(array);
    }

    /** How an array is filled, from the first element to the last, while elements before are sent. */
    public interface Filling {
        /** Returns when the elements before {@code end} are there; throws what keeps any from it. */
        void await(int end);

        /** Ends with all, and with those of other arrays that are filled together with it. */
        CompletableFuture<Void> all();
    }

    /** This array is still filled; what is there of it is sent meanwhile. */
    public void fill(TornadoNativeArray array, Filling filling) {
        fillings.put(array, filling);
    }

    /**
     * Has an array sent from other memory than its own, whose elements the run then neither reads nor writes. The memory must stay as it is until the
     * run has ended; an automatic arena keeps it that long.
     *
     * @param elements as many bytes as the array's elements have
     * @return whether that is possible; if not, nothing changes. The driver reads a header in front of the elements, too, and what lies there need
     *     not be readable; in the page where the elements begin it is
     */
    public boolean from(TornadoNativeArray array, MemorySegment elements) {
        if (!elements.isNative() || !elements.scope().isAlive() || elements.byteSize() != array.getNumBytesOfSegment()
                || elements.address() % SMALLEST_PAGE < TornadoNativeArray.ARRAY_HEADER) {
            return false;
        }
        sources.put(array, elements);
        return true;
    }

    /** How far behind an array's own memory lies what is sent in its place, in bytes; 0 where that is the array's own. */
    long distance(Object array) {
        MemorySegment source = sources.get(array);
        return source == null ? 0 : source.address() - ((TornadoNativeArray) array).getSegment().address();
    }

    /** Has parts of this array taken as they come. */
    public void receive(Object array, Receiver receiver) {
        receivers.put(array, receiver);
    }

    boolean sends(Object array) {
        return !spared.contains(array);
    }

    /** Null where an array is full from the beginning. */
    Filling filling(Object array) {
        return fillings.get(array);
    }

    /** Null where nobody takes parts of it. */
    Receiver receiver(Object array) {
        return receivers.get(array);
    }

    /** What is done once all arrays are filled. */
    public CompletableFuture<Void> filled() {
        return CompletableFuture.allOf(fillings.values().stream().map(Filling::all).distinct().toArray(CompletableFuture[]::new));
    }
}
