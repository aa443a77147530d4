package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import java.io.Serializable;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Where the tensors of a divided problem lie in the memory that processes share. Keys and values lie as they are given, and all read
 * them. What belongs to queries lies piece after piece, so that each piece has dense tensors of its own; so do gradients of keys and
 * values, which are summed over pieces afterwards.
 *
 * @param whole sizes of the whole problem
 * @param pieces all of it, in order
 */
record Layout(AttentionShape whole, List<Piece> pieces) implements Serializable {
    /** Room for an element of any type: what nobody writes takes none. */
    private static final int LARGEST = Double.BYTES;
    private static final int ALIGNMENT = 64;

    Layout {
        pieces = List.copyOf(pieces);
    }

    /** A tensor of the problem. */
    enum Part {
        Q(true, Rows.QUERIES), K(true, Rows.SHARED_KEYS), V(true, Rows.SHARED_KEYS), RIDGE(true, Rows.QUERIES),
        GRADIENT(true, Rows.QUERIES),
        OUTPUT(false, Rows.QUERIES), LOG_SUM_EXP(false, Rows.QUERIES), KBAR(false, Rows.QUERIES), X(false, Rows.QUERIES),
        ROUNDING(false, Rows.QUERIES), ITERATIONS(false, Rows.QUERIES), RESIDUAL(false, Rows.QUERIES),
        RECURRENCE(false, Rows.QUERIES),
        DQ(false, Rows.QUERIES), DRIDGE(false, Rows.QUERIES), DK(false, Rows.KEYS), DV(false, Rows.KEYS),
        BACKWARD_ITERATIONS(false, Rows.QUERIES), BACKWARD_RESIDUAL(false, Rows.QUERIES), BACKWARD_RECURRENCE(false, Rows.QUERIES);

        private final boolean input;
        private final Rows rows;

        Part(boolean input, Rows rows) {
            this.input = input;
            this.rows = rows;
        }

        boolean input() {
            return input;
        }

        /** Elements of a row. */
        int width(AttentionShape shape) {
            return switch (this) {
                case Q, K, KBAR, X, DQ, DK -> shape.headDim();
                case V, OUTPUT, GRADIENT, DV -> shape.valueDim();
                default -> 1;
            };
        }
    }

    private enum Rows {
        QUERIES, KEYS, SHARED_KEYS
    }

    /** Bytes of all inputs, or of all outputs. */
    long bytes(boolean inputs) {
        long bytes = 0;
        for (Part part : Part.values()) {
            bytes += part.input == inputs ? room(part) : 0;
        }
        return bytes;
    }

    /** Where each tensor begins in its memory. */
    Map<Part, Long> starts() {
        Map<Part, Long> starts = new EnumMap<>(Part.class);
        long input = 0;
        long output = 0;
        for (Part part : Part.values()) {
            starts.put(part, part.input ? input : output);
            if (part.input) {
                input += room(part);
            } else {
                output += room(part);
            }
        }
        return starts;
    }

    private long room(Part part) {
        long bytes = Math.multiplyExact(rows(part, pieces.size()) * part.width(whole), (long) LARGEST);
        return Math.ceilDiv(bytes, (long) ALIGNMENT) * ALIGNMENT;
    }

    /** Rows of a tensor that belong to the pieces before this one. */
    long rows(Part part, int piece) {
        if (part.rows == Rows.SHARED_KEYS) {
            return (long) (piece == pieces.size() ? whole.batch() * whole.kvHeads() : pieces.get(piece).fromHead()) * whole.keyLength();
        }
        long rows = 0;
        for (Piece before : pieces.subList(0, piece)) {
            rows += part.rows == Rows.KEYS ? (long) before.heads() * before.keys() : before.shape(whole).rows();
        }
        return rows;
    }

    /** Sizes of a piece's own tensor. */
    long[] dims(Part part, int piece) {
        AttentionShape shape = pieces.get(piece).shape(whole);
        return switch (part) {
            case Q, KBAR, X, DQ -> shape.queryDims();
            case K, DK -> shape.keyDims();
            case V, DV -> shape.valueDims();
            case OUTPUT, GRADIENT -> shape.outputDims();
            default -> shape.rowDims();
        };
    }
}
