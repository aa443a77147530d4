package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornadovm.Backend;
import java.util.stream.LongStream;

/** Refuses problems that are too large to compute, before anything is generated. */
final class SizeLimits {
    /** Elements of the largest Java array, by whose indices TornadoVM counts. */
    private static final long MAX_ELEMENTS = Integer.MAX_VALUE - 64;

    /** Part of the heap that large arrays can have. */
    private static final double HEAP_SHARE = 0.75;

    private SizeLimits() {}

    /**
     * Checks the arrays that every way of solving the task needs.
     *
     * @param hostBytes memory of this machine, or null if it is not known
     * @param heapBytes of this JVM at most
     * @throws InvalidInputException naming the limit
     */
    static void require(Task task, String device, Long hostBytes, long heapBytes) {
        AttentionShape shape = task.shape();
        double q = product(shape.queryDims());
        double k = product(shape.keyDims());
        double v = product(shape.valueDims());
        double o = product(shape.outputDims());
        double largest = Math.max(Math.max(q, k), Math.max(v, o));
        if (Backend.of(device) != null && largest > MAX_ELEMENTS) {
            throw new InvalidInputException("an array on a TornadoVM device holds less than 2^31 elements (" + Numbers.bytes(MAX_ELEMENTS * 4.0)
                    + " of float32), but this problem needs one of " + Numbers.bytes(largest * 4) + "; split the batch or the heads");
        }
        double inputs = (q + k + v) * task.dataType().bytes();
        double results = o * Float.BYTES * (task.mode().hasBackward() ? 2 : 1) + (task.mode().hasBackward() ? (q + k + v) * Float.BYTES : 0);
        double cache = task.mode() == Mode.DECODE ? (k + v) * task.dataType().bytes() : 0; // beside the inputs it is filled from
        double needed = inputs + results + cache;
        if (hostBytes != null && needed > hostBytes) {
            throw new InvalidInputException("this problem needs " + Numbers.bytes(needed) + " of host memory for its tensors alone, but this "
                    + "machine has " + Numbers.bytes(hostBytes) + "; shorten it, or split the batch or the heads");
        }
        double query = AnswerCheck.queryBytes(task);
        if (query > HEAP_SHARE * heapBytes) {
            throw new InvalidInputException("checking one query of this problem in float64 takes " + Numbers.bytes(query) + " of heap, but this "
                    + "JVM has " + Numbers.bytes(heapBytes) + "; give it more by FLASHLLA_JAVA_OPTS=-Xmx<size>, or use fewer keys");
        }
    }

    private static double product(long[] dims) {
        return LongStream.of(dims).asDoubleStream().reduce(1, (a, b) -> a * b);
    }
}
