package io.github.flashlla.tornado.kernels.tile;

import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** What is made of a {@link CudaC}'s text. */
public final class CudaText {
    private static final Pattern LIST = Pattern.compile("\\[\\[([^:\\]]+)(?:: (.*?))?\\]\\]");
    private static final Pattern NUMBER = Pattern.compile("(\\d+)(?:/(\\d+))?(?:\\+(\\d+))?");

    private CudaText() {}

    /**
     * The text with names and literals in place of its arguments, and its lists written out.
     *
     * @param result null where there is none
     */
    public static String of(String text, List<String> arguments, String result) {
        String line = text;
        for (int i = arguments.size() - 1; i >= 0; i--) { // $12 before $1
            line = line.replace("$" + i, arguments.get(i));
        }
        if (result != null) {
            line = line.replace("$r", result);
        }
        return LIST.matcher(line).replaceAll(list -> Matcher.quoteReplacement(written(list)));
    }

    private static String written(MatchResult list) {
        int count = number(list.group(1));
        return list.group(2) == null ? Integer.toString(count)
                : IntStream.range(0, count).mapToObj(i -> list.group(2).replace("#", Integer.toString(i))).collect(Collectors.joining(", "));
    }

    private static int number(String text) {
        Matcher number = NUMBER.matcher(text);
        if (!number.matches()) {
            throw new IllegalStateException("not a constant: " + text);
        }
        int over = number.group(2) == null ? 1 : Integer.parseInt(number.group(2));
        int plus = number.group(3) == null ? 0 : Integer.parseInt(number.group(3));
        return Integer.parseInt(number.group(1)) / over + plus;
    }
}
