package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import java.util.Arrays;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Lengths of sequences that lie one after the other, between commas: {@code 1,17,300}.
 *
 * @param each in tokens
 */
record SequenceLengths(int[] each) {

    /** Reads the command line. */
    static final class Converter implements ITypeConverter<SequenceLengths> {
        @Override
        public SequenceLengths convert(String text) {
            try {
                return new SequenceLengths(Arrays.stream(text.split(",", -1)).mapToInt(Integer::parseInt).toArray());
            } catch (NumberFormatException e) {
                throw new TypeConversionException("'" + text + "' is not a list of lengths such as 1,17,300");
            }
        }
    }

    /**
     * Where sequences begin, and where the last one ends.
     *
     * @param option what gave them, for messages
     * @param total tokens of the file
     * @throws InvalidInputException if a length is negative, or the lengths do not add up to {@code total}
     */
    int[] offsets(String option, int total) {
        int[] offsets = new int[each.length + 1];
        for (int s = 0; s < each.length; s++) {
            if (each[s] < 0 || each[s] > total - offsets[s]) {
                throw new InvalidInputException(option + " has a sequence of " + each[s] + " tokens at " + offsets[s] + ", but the file has "
                        + total + "; lengths are not negative and add up to that.");
            }
            offsets[s + 1] = offsets[s] + each[s];
        }
        if (offsets[each.length] != total) {
            throw new InvalidInputException(option + " adds up to " + offsets[each.length] + " tokens, but the file has " + total + ".");
        }
        return offsets;
    }
}
