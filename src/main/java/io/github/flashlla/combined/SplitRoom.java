package io.github.flashlla.combined;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Where the numbers of a decoding step lie that parts share while each holds some of the keys; all are float64.
 *
 * @param rows B*H
 */
record SplitRoom(int rows, int dim, int valueDim) implements Serializable {

    /** What the parent gives to all parts. */
    enum Given {
        Q, RIDGE, X, KBAR
    }

    /** What a part leaves. */
    enum Left {
        LOG_SUM_EXP, KBAR, A, O
    }

    long givenBytes() {
        return Double.BYTES * (long) rows * (3L * dim + 1);
    }

    /** Of one part. */
    long leftBytes() {
        return Double.BYTES * (long) rows * (1L + dim + (long) dim * dim + valueDim);
    }

    private long at(Given what) {
        return Double.BYTES * (long) rows * switch (what) {
            case Q -> 0;
            case RIDGE -> 3L * dim;
            case X -> dim;
            case KBAR -> 2L * dim;
        };
    }

    private long at(Left what) {
        return Double.BYTES * (long) rows * switch (what) {
            case LOG_SUM_EXP -> 0;
            case KBAR -> 1;
            case A -> 1L + dim;
            case O -> 1L + dim + (long) dim * dim;
        };
    }

    void write(MemorySegment given, Given what, double[] from) {
        MemorySegment.copy(from, 0, given, ValueLayout.JAVA_DOUBLE, at(what), from.length);
    }

    void read(MemorySegment given, Given what, double[] to) {
        MemorySegment.copy(given, ValueLayout.JAVA_DOUBLE, at(what), to, 0, to.length);
    }

    /** @param part index of the part that leaves it */
    void write(MemorySegment left, int part, Left what, double[] from) {
        MemorySegment.copy(from, 0, left, ValueLayout.JAVA_DOUBLE, part * leftBytes() + at(what), from.length);
    }

    void read(MemorySegment left, int part, Left what, double[] to) {
        MemorySegment.copy(left, ValueLayout.JAVA_DOUBLE, part * leftBytes() + at(what), to, 0, to.length);
    }
}
