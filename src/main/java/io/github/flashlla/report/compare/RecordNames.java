package io.github.flashlla.report.compare;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.text.Printable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Gives each record of a comparison a name of its own. */
public final class RecordNames {
    private RecordNames() {}

    /**
     * Reads records. Each goes by its own name if no other has it, else by its file's, with the folder where files of several folders
     * are called the same.
     *
     * @throws InvalidInputException about the first one that is not a record
     */
    public static List<Named> read(List<Path> files, Consumer<String> notes) {
        List<BenchmarkRecord> records = files.stream().map(file -> RecordFile.read(file, notes)).toList();
        List<String> own = records.stream().map(BenchmarkRecord::name).toList();
        List<String> stems = files.stream().map(RecordNames::stem).toList();
        Set<String> taken = new HashSet<>();
        List<Named> named = new ArrayList<>();
        for (int i = 0; i < records.size(); i++) {
            String name = Printable.text(isOnly(own, i) ? own.get(i) : isOnly(stems, i) ? stems.get(i) : withFolder(files.get(i)));
            String unique = name;
            for (int n = 2; !taken.add(unique); n++) {
                unique = name + "#" + n;
            }
            named.add(new Named(unique, records.get(i)));
        }
        return named;
    }

    private static boolean isOnly(List<String> names, int at) {
        return Collections.frequency(names, names.get(at)) == 1;
    }

    private static String withFolder(Path file) {
        Path folder = file.toAbsolutePath().normalize().getParent().getFileName();
        return (folder == null ? "" : folder + "/") + stem(file);
    }

    /** The name of the record that {@code wanted} may mean by its file; else {@code wanted} itself. */
    public static String resolve(String wanted, List<Path> files, List<Named> records) {
        if (wanted == null || records.stream().anyMatch(named -> named.name().equals(wanted))) {
            return wanted;
        }
        for (int i = 0; i < files.size(); i++) {
            Path file = files.get(i);
            if (wanted.equals(stem(file)) || wanted.equals(file.toString())
                    || wanted.equals(file.getFileName().toString())) {
                return records.get(i).name();
            }
        }
        return wanted;
    }

    private static String stem(Path file) {
        return file.getFileName().toString().replaceFirst("(?<=.)\\.[^.]*$", "");
    }
}
