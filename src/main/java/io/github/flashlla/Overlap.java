package io.github.flashlla;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;

/** Whether two tensors have memory in common; views that lie between each other's elements have none, nor has memory that was given back. */
final class Overlap {
    /** Steps of a search after which views that are so entangled count as overlapping. */
    private static final int MOST_STEPS = 10_000;

    /** Bytes from one element to the next along an axis, and how often that may be stepped, back where the count is negative. */
    private record Axis(long bytes, long least, long most) {}

    private final Axis[] axes;
    private int steps;

    private Overlap(Axis[] axes) {
        this.axes = axes;
    }

    static boolean of(Tensor one, Tensor other) {
        MemorySegment a = one.memory();
        MemorySegment b = other.memory();
        boolean given = a.scope().isAlive() && b.scope().isAlive(); // addresses of memory that was given back are used again
        if (one.size() == 0 || other.size() == 0 || !given || a.asOverlappingSlice(b).isEmpty()) {
            return false;
        }
        Axis[] axes = new Axis[one.rank() + other.rank()];
        for (int axis = 0; axis < one.rank(); axis++) {
            axes[axis] = new Axis(one.strides()[axis] * one.type().bytes(), 0, one.dim(axis) - 1);
        }
        for (int axis = 0; axis < other.rank(); axis++) {
            axes[one.rank() + axis] = new Axis(other.strides()[axis] * other.type().bytes(), 1 - other.dim(axis), 0);
        }
        Arrays.sort(axes, Comparator.comparingLong(Axis::bytes).reversed());
        return new Overlap(merged(axes)).reaches(0, b.address() - a.address(), one.type().bytes(), other.type().bytes());
    }

    /** Axes of the same stride as one. @param sorted by stride */
    private static Axis[] merged(Axis[] sorted) {
        Axis[] merged = new Axis[sorted.length];
        int count = 0;
        for (Axis axis : sorted) {
            Axis last = count == 0 ? null : merged[count - 1];
            if (axis.least == axis.most || axis.bytes == 0) {
                continue;
            }
            if (last != null && last.bytes == axis.bytes) {
                merged[count - 1] = new Axis(axis.bytes, last.least + axis.least, last.most + axis.most);
            } else {
                merged[count++] = axis;
            }
        }
        return Arrays.copyOf(merged, count);
    }

    /** Whether an element of the one and one of the other, {@code distance} bytes on for equal indices, meet by steps along axes from {@code first} on. */
    private boolean reaches(int first, long distance, int oneBytes, int otherBytes) {
        if (first == axes.length) {
            return distance < oneBytes && -distance < otherBytes;
        }
        if (++steps > MOST_STEPS) {
            return true;
        }
        long least = 0; // of what later axes add
        long most = 0;
        for (int axis = first + 1; axis < axes.length; axis++) {
            least += axes[axis].least * axes[axis].bytes;
            most += axes[axis].most * axes[axis].bytes;
        }
        Axis axis = axes[first];
        long from = Math.max(axis.least, Math.ceilDiv(distance - most - oneBytes, axis.bytes));
        long to = Math.min(axis.most, Math.floorDiv(distance - least + otherBytes, axis.bytes));
        for (long n = from; n <= to; n++) {
            if (reaches(first + 1, distance - n * axis.bytes, oneBytes, otherBytes)) {
                return true;
            }
        }
        return false;
    }
}
