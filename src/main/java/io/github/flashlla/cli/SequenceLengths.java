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
     * @param tokens what these are, for messages
     * @param remedy where the lengths may be those of another file: what else to name; or empty
     * @throws InvalidInputException if a length is negative, or the lengths do not add up to {@code total}
     */
    int[] offsets(String option, int total, String tokens, String remedy) {
        int[] offsets = new int[each.length + 1];
        for (int s = 0; s < each.length; s++) {
            if (each[s] < 0) {
                throw new InvalidInputException(option + " names a length of " + each[s] + "; lengths are 0 or more");
            }
            if (each[s] > Integer.MAX_VALUE - offsets[s]) {
                throw new InvalidInputException(option + " adds up to more than " + Integer.MAX_VALUE + ", but there are " + total + " " + tokens + remedy);
            }
            offsets[s + 1] = offsets[s] + each[s];
        }
        if (offsets[each.length] != total) {
            throw new InvalidInputException(option + " adds up to " + offsets[each.length] + ", but there are " + total + " " + tokens + remedy);
        }
        return offsets;
    }
}
