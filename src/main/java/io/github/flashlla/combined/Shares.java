package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Divides a problem by the speeds of those that compute it: by heads, and within a head by blocks of queries. */
final class Shares {
    /** Queries of a block: a multiple of every plan's own, and for short sequences of the smallest. */
    private static final int BLOCK = 128;
    private static final int SMALL_BLOCK = 32;
    private static final int SHORT = 1024;
    /** A share may be off by this part before a head is cut. */
    private static final double SLACK = 0.03;
    /** An eighth of the copies is not hidden then. */
    private static final int MOST_PIECES = 8;

    private final AttentionShape shape;
    private final boolean causal;
    private final int block;

    private Shares(AttentionShape shape, boolean causal) {
        this.shape = shape;
        this.causal = causal;
        this.block = shape.queryLength() < SHORT ? SMALL_BLOCK : BLOCK;
    }

    /**
     * The pieces of each, in order: together they are the whole.
     *
     * @param speeds relative, above 0
     * @return as many lists as speeds; some may be empty
     */
    static List<List<Piece>> of(AttentionShape shape, boolean causal, double[] speeds) {
        Shares shares = new Shares(shape, causal);
        int heads = shape.batch() * shape.kvHeads();
        double all = Arrays.stream(speeds).sum();
        double slack = SLACK * heads * Arrays.stream(speeds).min().orElseThrow() / all;
        List<List<Piece>> pieces = new ArrayList<>();
        double sum = 0;
        Cut from = new Cut(0, 0);
        for (int n = 0; n < speeds.length; n++) {
            sum += speeds[n];
            Cut to = n == speeds.length - 1 ? new Cut(heads, 0) : shares.cut(sum / all * heads, slack);
            pieces.add(shares.between(from, to));
            from = to;
        }
        return pieces;
    }

    /**
     * A share in more pieces, so that a device computes one while the next is copied to it and the last from it. Only whole heads are
     * divided, since queries of one head would read its keys once more.
     *
     * @param leastBytes of a piece's q, k, v and o in float32: less is computed in about the time that a piece costs in itself
     */
    static List<Piece> inTurn(List<Piece> share, AttentionShape shape, long leastBytes) {
        List<Piece> pieces = new ArrayList<>();
        for (Piece piece : share) {
            long most = Math.clamp(piece.shape(shape).tensorBytes(Float.BYTES) / Math.max(1, leastBytes), 1, Math.min(MOST_PIECES, piece.heads()));
            for (int n = 0; n < most; n++) {
                pieces.add(new Piece((int) (piece.fromHead() + n * piece.heads() / most), (int) (piece.fromHead() + (n + 1) * piece.heads() / most),
                        piece.fromQuery(), piece.toQuery(), piece.keys()));
            }
        }
        return pieces;
    }

    /** Key/value heads only, as a cache is divided: index of the first of each, and their number at the end. */
    static int[] ofHeads(int heads, double[] speeds) {
        double all = Arrays.stream(speeds).sum();
        int[] first = new int[speeds.length + 1];
        double sum = 0;
        for (int n = 0; n < speeds.length; n++) {
            sum += speeds[n];
            first[n + 1] = (int) Math.round(sum / all * heads);
        }
        return first;
    }

    /** Pairs of a piece: the measure of its work. */
    static double work(Piece piece, AttentionShape whole, boolean causal) {
        Shares shares = new Shares(whole, causal);
        return (double) piece.heads() * whole.group() * (shares.pairs(piece.toQuery()) - shares.pairs(piece.fromQuery()) + piece.queries());
    }

    /** A place between two queries: {@code head} is a key/value head, {@code query} the first behind the cut. */
    private record Cut(int head, int query) {}

    /** @param place in heads; its fraction is a part of a head's work */
    private Cut cut(double place, double slack) {
        if (Math.abs(place - Math.rint(place)) <= slack) {
            return new Cut((int) Math.rint(place), 0);
        }
        int head = (int) place;
        double wanted = (place - head) * pairs(shape.queryLength());
        int low = 0;
        int high = Math.ceilDiv(shape.queryLength(), block);
        while (high - low > 1) {
            int middle = (low + high) / 2;
            if (pairs(middle * block) <= wanted) {
                low = middle;
            } else {
                high = middle;
            }
        }
        int highQuery = Math.min(high * block, shape.queryLength());
        int query = wanted - pairs(low * block) < pairs(highQuery) - wanted ? low * block : highQuery;
        return query == shape.queryLength() ? new Cut(head + 1, 0) : new Cut(head, pairs(query) == 0 ? 0 : query);
    }

    /** Pairs of a query head's first {@code queries} queries. */
    private double pairs(int queries) {
        if (!causal) {
            return (double) queries * shape.keyLength();
        }
        double before = (double) shape.keyLength() - shape.queryLength();
        double seeing = before >= 0 ? queries : Math.max(0, queries + before);
        return seeing * Math.max(0, before) + seeing * (seeing + 1) / 2;
    }

    private List<Piece> between(Cut from, Cut to) {
        List<Piece> pieces = new ArrayList<>();
        if (from.equals(to)) {
            return pieces;
        }
        int head = from.head;
        if (from.query > 0 && (to.head > head || to.query > from.query)) {
            int end = to.head > head ? shape.queryLength() : to.query;
            pieces.add(piece(head, head + 1, from.query, end));
            head++;
        }
        if (to.head > head) {
            pieces.add(piece(head, to.head, 0, shape.queryLength()));
            head = to.head;
        }
        if (to.head == head && to.query > 0) {
            pieces.add(piece(head, head + 1, 0, to.query));
        }
        return pieces;
    }

    private Piece piece(int fromHead, int toHead, int fromQuery, int toQuery) {
        boolean whole = toQuery == shape.queryLength() || !causal;
        return new Piece(fromHead, toHead, fromQuery, toQuery, whole ? shape.keyLength() : toQuery + shape.keyLength() - shape.queryLength());
    }
}
