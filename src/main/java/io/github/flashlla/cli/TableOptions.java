package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.report.TableLayout;
import io.github.flashlla.text.Terminal;
import java.util.List;
import picocli.CommandLine.Option;

/** Which columns a table of measurements has. */
final class TableOptions {
    @Option(names = "--columns", split = ",", paramLabel = "NAME",
            description = "Columns of the table of --format md, by their headings or by their names in CSV, or all (default: on a terminal those that "
                    + "fit, else all)")
    private List<String> columns;

    /** @param onTerminal whether the table goes to a terminal, not to a file or a pipe */
    TableLayout layout(boolean onTerminal) {
        return new TableLayout(onTerminal ? Terminal.width() : null, columns);
    }

    /** Whether columns were named. */
    boolean chosen() {
        return columns != null;
    }

    /** Refuses columns of a form that has them all, and those that there are not, before anything is measured. */
    void requireTable(boolean isTable) {
        if (columns != null && !isTable) {
            throw new InvalidInputException("--columns is for the table of --format md; other forms hold every column");
        }
        layout(false);
    }
}
