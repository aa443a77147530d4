package io.github.flashlla.text;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A markdown table with aligned columns: numbers to the right, words to the left. */
public final class MarkdownTable {
    private final List<String> header;
    private final List<List<String>> rows = new ArrayList<>();

    public MarkdownTable(String... header) {
        this.header = List.of(header);
    }

    public MarkdownTable add(String... cells) {
        return add(Arrays.asList(cells));
    }

    public MarkdownTable add(List<String> cells) {
        if (cells.size() != header.size()) {
            throw new IllegalArgumentException(cells.size() + " cells under " + header.size() + " headings");
        }
        rows.add(cells.stream().map(MarkdownTable::inline).toList());
        return this;
    }

    public boolean isEmpty() {
        return rows.isEmpty();
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        int[] widths = new int[header.size()];
        boolean[] numeric = new boolean[header.size()];
        for (int c = 0; c < widths.length; c++) {
            int column = c;
            widths[c] = Math.max(3, Math.max(header.get(c).length(),
                    rows.stream().mapToInt(row -> row.get(column).length()).max().orElse(0)));
            numeric[c] = rows.stream().map(row -> row.get(column)).filter(cell -> !cell.isEmpty())
                    .allMatch(cell -> cell.matches("[-+0-9].*")) && !rows.isEmpty();
        }
        line(text, header, widths, numeric);
        text.append('|');
        for (int c = 0; c < widths.length; c++) {
            text.append(numeric[c] ? "-" : ":").append("-".repeat(widths[c])).append(numeric[c] ? ":" : "-").append('|');
        }
        text.append('\n');
        rows.forEach(row -> line(text, row, widths, numeric));
        return text.toString();
    }

    /**
     * The table where a terminal has room for it, else its rows one after the other, each cell behind its heading; what is not there ("-") is left out.
     *
     * @param width of a line, in characters
     */
    public String fitting(int width) {
        String table = toString();
        if (table.lines().allMatch(line -> line.length() <= width)) {
            return table;
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            text.append(text.isEmpty() ? "" : "\n").append(row.getFirst()).append('\n');
            for (int c = 1; c < row.size(); c++) {
                if (!row.get(c).isEmpty() && !row.get(c).equals("-")) {
                    text.append("  ").append(header.get(c)).append(": ").append(row.get(c)).append('\n');
                }
            }
        }
        return text.toString();
    }

    /**
     * The rows for a narrow terminal: what several rows have in common, in the first columns and in the last, is a heading; the others are columns below it, of
     * which the last one goes on in further lines.
     *
     * @param first how many columns make the heading
     */
    public String grouped(int first, int width) {
        int end = header.size() - 1;
        int label = rows.stream().mapToInt(row -> row.get(first).length()).max().orElse(0) + 4;
        StringBuilder text = new StringBuilder();
        String before = "";
        for (List<String> row : rows) {
            String heading = String.join(" ", row.subList(0, first)) + (row.get(end).isEmpty() ? "" : ", " + header.get(end) + " " + row.get(end));
            text.append(heading.equals(before) ? "" : "\n" + heading + "\n").append("  ").append(row.get(first)).append(" ".repeat(label - 2 - row.get(first).length()));
            int at = label;
            for (String word : String.join(" ", row.subList(first + 1, end)).split(" ")) {
                if (at > label && at + word.length() > width) {
                    text.setLength(text.length() - 1);
                    text.append('\n').append(" ".repeat(label));
                    at = label;
                }
                text.append(word).append(' ');
                at += word.length() + 1;
            }
            text.setLength(text.length() - 1);
            text.append('\n');
            before = heading;
        }
        return text.toString();
    }

    private static void line(StringBuilder text, List<String> cells, int[] widths, boolean[] numeric) {
        text.append('|');
        for (int c = 0; c < widths.length; c++) {
            String pad = " ".repeat(widths[c] - cells.get(c).length());
            text.append(' ').append(numeric[c] ? pad + cells.get(c) : cells.get(c) + pad).append(" |");
        }
        text.append('\n');
    }

    /** One line, with nothing that ends a cell or reaches a terminal as a command. */
    public static String inline(String cell) {
        return cell == null ? "" : cell.replaceAll("\\p{C}+", " ").replace("|", "\\|");
    }
}
