package io.github.flashlla.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * One element of a list of lengths: {@code 1024}, {@code 1k} for 1024, or {@code 1024..16384}, which doubles from the first to the last.
 *
 * @param values the lengths, in order
 */
record Lengths(List<Integer> values) {
    private static final Pattern ELEMENT = Pattern.compile("(0*[1-9][0-9]{0,9})([kK]?)(?:\\.\\.([0-9]{1,10})([kK]?))?");
    private static final int KIBI = 1024;

    /** All of a list's lengths; null if there is no list. */
    static List<Integer> all(List<Lengths> list) {
        return list == null ? null : list.stream().flatMap(lengths -> lengths.values.stream()).toList();
    }

    /** Reads an element of the command line. */
    static final class Converter implements ITypeConverter<Lengths> {
        @Override
        public Lengths convert(String text) {
            Matcher element = ELEMENT.matcher(text.strip());
            if (!element.matches()) {
                throw new TypeConversionException("'" + text + "' is not a length such as 1024, 1k or 1024..16384");
            }
            int from = number(text, element.group(1), element.group(2));
            int to = element.group(3) == null ? from : number(text, element.group(3), element.group(4));
            if (to < from) {
                throw new TypeConversionException("'" + text + "' is not a range: it doubles from a first length to a larger one");
            }
            List<Integer> values = new ArrayList<>();
            for (long length = from; length <= to; length *= 2) {
                values.add((int) length);
            }
            if (values.getLast() != to) {
                throw new TypeConversionException("'" + text + "' does not reach its end: doubling " + from + " passes " + to);
            }
            return new Lengths(values);
        }

        private static int number(String text, String digits, String unit) {
            long value = Long.parseLong(digits) * (unit.isEmpty() ? 1 : KIBI);
            if (value > Integer.MAX_VALUE) {
                throw new TypeConversionException("'" + text + "' is too long for any device");
            }
            return (int) value;
        }
    }
}
