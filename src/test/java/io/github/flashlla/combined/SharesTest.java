package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import java.util.Arrays;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class SharesTest {

    @Provide
    Arbitrary<AttentionShape> shapes() {
        return Combinators.combine(Arbitraries.integers().between(1, 3), Arbitraries.integers().between(1, 3), Arbitraries.integers().between(1, 3),
                Arbitraries.integers().between(1, 3000), Arbitraries.integers().between(1, 3000))
                .as((batch, kvHeads, group, queries, keys) -> new AttentionShape(batch, kvHeads * group, kvHeads, queries, keys, 4, 3));
    }

    @Provide
    Arbitrary<double[]> speeds() {
        return Arbitraries.doubles().between(0.01, 10).array(double[].class).ofMinSize(1).ofMaxSize(5);
    }

    /** Every query of every head is in one piece, in order, and sees in its piece the keys that it sees in the whole. */
    @Property(tries = 300, edgeCases = EdgeCasesMode.NONE)
    void piecesAreTheWhole(@ForAll("shapes") AttentionShape shape, @ForAll boolean causal, @ForAll("speeds") double[] speeds,
            @ForAll @LongRange(max = 1 << 20) long leastBytes) {
        List<List<Piece>> shares = Shares.of(shape, causal, speeds).stream().map(share -> Shares.inTurn(share, shape, leastBytes)).toList();
        assertEquals(speeds.length, shares.size());
        int head = 0;
        int query = 0;
        for (Piece piece : shares.stream().flatMap(List::stream).toList()) {
            assertEquals(head, piece.fromHead(), shares::toString);
            assertEquals(query, piece.fromQuery(), shares::toString);
            assertTrue(piece.heads() == 1 || piece.queries() == shape.queryLength(), shares::toString);
            AttentionShape own = piece.shape(shape);
            for (int i = 0; i < piece.queries(); i++) {
                assertEquals(shape.visibleKeys(piece.fromQuery() + i, causal), own.visibleKeys(i, causal), shares::toString);
            }
            query = piece.toQuery() % shape.queryLength();
            head = query == 0 ? piece.toHead() : piece.fromHead();
        }
        assertEquals(shape.batch() * shape.kvHeads(), head, shares::toString);
        assertEquals(0, query);
    }

    @Test
    void wholeHeadsWhereTheyAreEvenEnough() {
        assertEquals(List.of(List.of(new Piece(0, 8, 0, 4096, 4096)), List.of(new Piece(8, 16, 0, 4096, 4096))),
                Shares.of(AttentionShape.square(2, 8, 4096, 64), true, new double[] {1, 1.02}));
    }

    @Test
    void aShareIsDoneInPiecesOfEvenSize() {
        AttentionShape shape = AttentionShape.square(1, 12, 1000, 64);
        List<Piece> share = List.of(new Piece(2, 12, 0, 1000, 1000));
        long head = shape.tensorBytes(Float.BYTES) / 12;
        assertEquals(List.of(new Piece(2, 5, 0, 1000, 1000), new Piece(5, 8, 0, 1000, 1000), new Piece(8, 12, 0, 1000, 1000)),
                Shares.inTurn(share, shape, 3 * head));
        assertEquals(share, Shares.inTurn(share, shape, 6 * head));
        assertEquals(8, Shares.inTurn(share, shape, 1).size());
    }

    /** The second half of a causal head is three quarters of its work: half the work ends at 0.71 of its queries. */
    @Test
    void blocksOfQueriesByTheirWork() {
        AttentionShape shape = AttentionShape.square(1, 1, 12800, 64);
        List<List<Piece>> shares = Shares.of(shape, true, new double[] {1, 1});
        Piece first = shares.getFirst().getFirst();
        assertEquals(0, first.toQuery() % 128);
        assertEquals(0.7071, first.toQuery() / 12800.0, 0.01);
        assertEquals(first.toQuery(), first.keys());
        double[] work = shares.stream().mapToDouble(own -> Shares.work(own.getFirst(), shape, true)).toArray();
        assertEquals(1, work[0] / work[1], 0.05, Arrays.toString(work));
    }

    @Test
    void fasterPartsGetMoreHeads() {
        assertEquals("[0, 6, 8]", Arrays.toString(Shares.ofHeads(8, new double[] {3, 1})));
        assertEquals("[0, 1, 1]", Arrays.toString(Shares.ofHeads(1, new double[] {1, 1})));
    }
}
