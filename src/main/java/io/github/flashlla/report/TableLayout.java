package io.github.flashlla.report;

import io.github.flashlla.text.MarkdownTable;
import java.util.ArrayList;
import java.util.List;

/**
 * Which columns a table shows. A name that no column has is an {@link io.github.flashlla.InvalidInputException}.
 *
 * @param width characters on a line of the terminal that it is for; null where it goes to a file or a pipe, which take any width
 * @param columns names of the columns to show, {@code all} for all that there are; null for the usual ones
 */
public record TableLayout(Integer width, List<String> columns) {
    /** All columns. */
    public static final TableLayout WIDE = new TableLayout(null, null);

    public TableLayout {
        if (columns != null && !showsAll(columns)) {
            Column.named(columns, Column.ALL);
        }
    }

    private static boolean showsAll(List<String> columns) {
        return columns.equals(List.of("all"));
    }

    /** Whether rows leave out what the line above them says. */
    boolean isBrief() {
        return width != null && columns == null;
    }

    /**
     * A table of these rows.
     *
     * @param wide the columns where there is room
     * @param narrow the columns on a terminal, of which those that it has no room for are left out
     */
    String table(List<Row> rows, Column.Table wide, Column.Table narrow) {
        List<Column> all = Column.of(wide, rows);
        if (columns != null) {
            return table(rows, showsAll(columns) ? all : Column.named(columns, Column.ALL));
        }
        if (width == null) {
            return table(rows, all);
        }
        List<Column> shown = new ArrayList<>(Column.of(narrow, rows));
        String text = table(rows, shown);
        List<String> dropped = new ArrayList<>();
        for (String dispensable : Column.DISPENSABLE) {
            if (text.indexOf('\n') <= width) {
                break;
            }
            if (shown.removeIf(column -> column.title().equals(dispensable))) {
                dropped.add(dispensable);
                text = table(rows, shown);
            }
        }
        return dropped.isEmpty() ? text : text + "\nLeft out for want of room: " + String.join(", ", dropped) + ". --columns all shows everything.\n";
    }

    private static String table(List<Row> rows, List<Column> columns) {
        MarkdownTable table = new MarkdownTable(columns.stream().map(column -> column.title() == null ? column.key() : column.title()).toArray(String[]::new));
        for (Row row : rows) {
            table.add(columns.stream().map(column -> column.title() == null ? text(column.value().apply(row)) : column.cell().apply(row)).toList());
        }
        return table.toString();
    }

    private static String text(Object value) {
        return value == null ? "" : value.toString();
    }
}
