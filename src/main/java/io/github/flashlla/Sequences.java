package io.github.flashlla;

import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Where sequences of different lengths lie that are packed one after the other: sequence s has rows offsets[s] to offsets[s + 1] - 1,
 * of queries by their offsets, of keys by theirs. Known elsewhere as {@code cu_seqlens}.
 *
 * @param queryOffsets from 0 to the number of all queries, never falling
 * @param keyOffsets from 0 to the number of all keys, as many
 */
public record Sequences(int[] queryOffsets, int[] keyOffsets) {

    public Sequences {
        queryOffsets = checked("queries", queryOffsets);
        keyOffsets = checked("keys", keyOffsets);
        if (queryOffsets.length != keyOffsets.length) {
            throw new InvalidInputException("there are offsets of " + (queryOffsets.length - 1) + " sequences of queries but of "
                    + (keyOffsets.length - 1) + " of keys");
        }
        for (int s = 0; s + 1 < keyOffsets.length; s++) {
            if (keyOffsets[s] == keyOffsets[s + 1] && queryOffsets[s] < queryOffsets[s + 1]) {
                throw new InvalidInputException("sequence " + s + " has queries but no keys");
            }
        }
    }

    /** Sequences of these lengths, with as many keys as queries. */
    public static Sequences ofLengths(int... lengths) {
        int[] offsets = new int[lengths.length + 1];
        for (int s = 0; s < lengths.length; s++) {
            if (lengths[s] < 0 || lengths[s] > Integer.MAX_VALUE - offsets[s]) {
                throw new InvalidInputException("lengths of sequences must be 0 or more and add up to at most " + Integer.MAX_VALUE + ", not "
                        + Arrays.toString(lengths));
            }
            offsets[s + 1] = offsets[s] + lengths[s];
        }
        return new Sequences(offsets, offsets);
    }

    /** Number of sequences. */
    public int count() {
        return queryOffsets.length - 1;
    }

    /** Queries of sequence {@code s}, maybe 0. */
    int queries(int s) {
        return queryOffsets[s + 1] - queryOffsets[s];
    }

    /** Keys of sequence {@code s}, maybe 0. */
    int keys(int s) {
        return keyOffsets[s + 1] - keyOffsets[s];
    }

    @Override
    public int[] queryOffsets() {
        return queryOffsets.clone();
    }

    @Override
    public int[] keyOffsets() {
        return keyOffsets.clone();
    }

    /** Refuses sequences that do not add up to the queries and keys of a shape, or a shape of several batch entries. */
    public void requireTotals(AttentionShape shape) {
        requireOneBatchEntry(shape);
        int queries = queryOffsets[count()];
        int keys = keyOffsets[count()];
        if (queries != shape.queryLength() || keys != shape.keyLength()) {
            throw new InvalidInputException("the sequences have " + Numbers.count(queries, "query") + " and " + Numbers.count(keys, "key") + " in all, but the plan is for "
                    + shape);
        }
    }

    static void requireOneBatchEntry(AttentionShape shape) {
        if (shape.batch() != 1) {
            throw new InvalidInputException("packed sequences take the place of a batch, so B must be 1, not " + shape.batch());
        }
    }

    private static int[] checked(String what, int[] offsets) {
        if (offsets.length < 2 || offsets[0] != 0 || IntStream.range(1, offsets.length).anyMatch(s -> offsets[s] < offsets[s - 1])) {
            throw new InvalidInputException("offsets of " + what + " must begin with 0 and never fall, not " + Arrays.toString(offsets));
        }
        return offsets.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Sequences that && Arrays.equals(queryOffsets, that.queryOffsets) && Arrays.equals(keyOffsets, that.keyOffsets);
    }

    @Override
    public int hashCode() {
        return 31 * Arrays.hashCode(queryOffsets) + Arrays.hashCode(keyOffsets);
    }

    @Override
    public String toString() {
        return "queries " + Arrays.toString(queryOffsets) + " keys " + Arrays.toString(keyOffsets);
    }
}
