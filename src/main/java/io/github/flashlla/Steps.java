package io.github.flashlla;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Where the elements of a view lie: for each axis, how far neighbours along it are apart, in elements of memory. */
final class Steps {
    private final long[] dims;
    private final long[] steps;
    /** Elements that lie side by side, beginning at a multiple of it. */
    private final long run;

    private Steps(long[] dims, long[] steps) {
        this.dims = dims;
        this.steps = steps;
        long together = 1;
        for (int axis = dims.length - 1; axis >= 0 && (steps[axis] == together || dims[axis] == 1); axis--) {
            together *= dims[axis];
        }
        this.run = Math.max(1, together);
    }

    /** @throws InvalidInputException if there are not as many steps as dims, or one is negative */
    static Steps of(long[] dims, long[] steps) {
        if (dims.length != steps.length || Arrays.stream(steps).anyMatch(step -> step < 0)) {
            throw new InvalidInputException("a view of shape " + Tensor.shapeString(dims) + " needs a stride of 0 or more for each axis, not "
                    + Tensor.shapeString(steps));
        }
        return new Steps(dims.clone(), steps.clone());
    }

    static Steps rowMajor(long[] dims) {
        long[] steps = new long[dims.length];
        long step = 1;
        for (int axis = dims.length - 1; axis >= 0; axis--) {
            steps[axis] = step;
            step *= dims[axis];
        }
        return new Steps(dims.clone(), steps);
    }

    long[] dims() {
        return dims.clone();
    }

    long[] steps() {
        return steps.clone();
    }

    /** Whether all elements lie in the order of their row-major positions, without gaps. */
    boolean isRowMajor() {
        return size() == 0 || run == size();
    }

    private long size() {
        return Arrays.stream(dims).reduce(1, Math::multiplyExact);
    }

    /** Elements of memory from the first to the last. */
    long span() {
        return size() == 0 ? 0 : 1 + IntStream.range(0, dims.length).mapToLong(axis -> Math.multiplyExact(dims[axis] - 1, steps[axis]))
                .reduce(0, Math::addExact);
    }

    /** Place in memory of the element at a row-major position. */
    long place(long position) {
        return position <= Integer.MAX_VALUE ? place((int) position) : placeOfLarge(position);
    }

    /** The same where a division takes a third of the time. */
    private long place(int position) {
        long place = 0;
        int rest = position;
        for (int axis = dims.length - 1; rest > 0; axis--) {
            int dim = (int) dims[axis];
            if (dims[axis] > rest) { // so are dims that an int does not hold
                return place + rest * steps[axis];
            }
            place += rest % dim * steps[axis];
            rest /= dim;
        }
        return place;
    }

    private long placeOfLarge(long position) {
        long place = 0;
        long rest = position;
        for (int axis = dims.length - 1; axis >= 0; axis--) {
            place += rest % dims[axis] * steps[axis];
            rest /= dims[axis];
        }
        return place;
    }

    /** Elements that lie side by side in memory. */
    interface Run {
        /**
         * @param place of the first
         * @param done elements of earlier runs
         */
        void of(long place, int count, int done);
    }

    /** Visits {@code count} elements from a row-major position on. */
    void forEachRun(long position, int count, Run visit) {
        for (int done = 0; done < count;) {
            long at = position + done;
            int length = (int) Math.min(count - done, run - at % run);
            visit.of(place(at), length, done);
            done += length;
        }
    }

    /** Axes in another order. */
    Steps permute(int... axes) {
        if (!Arrays.equals(Arrays.stream(axes).sorted().toArray(), IntStream.range(0, dims.length).toArray())) {
            throw new InvalidInputException("axes " + Arrays.toString(axes) + " are no order of the " + dims.length + " axes of "
                    + Tensor.shapeString(dims));
        }
        return new Steps(Arrays.stream(axes).mapToLong(axis -> dims[axis]).toArray(), Arrays.stream(axes).mapToLong(axis -> steps[axis]).toArray());
    }

    /** Other sizes that differ in axes of size 1 only; null if they differ in more. */
    Steps reshape(long[] newDims) {
        long[] newSteps = new long[newDims.length];
        int axis = 0;
        for (int i = 0; i < newDims.length; i++) {
            while (axis < dims.length && dims[axis] == 1) {
                axis++;
            }
            if (newDims[i] == 1) {
                continue;
            }
            if (axis == dims.length || dims[axis] != newDims[i]) {
                return null;
            }
            newSteps[i] = steps[axis++];
        }
        return new Steps(newDims.clone(), newSteps);
    }

    /** The same steps with one axis cut to {@code count}. */
    Steps cut(int axis, long count) {
        long[] cut = dims.clone();
        cut[axis] = count;
        return new Steps(cut, steps);
    }
}
