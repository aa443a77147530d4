package io.github.flashlla.report.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Records;
import io.github.flashlla.report.compare.Comparison.Named;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordNamesTest {
    @TempDir
    private Path folder;

    @Test
    void theFolderTellsFilesOfOneNameApart() throws IOException {
        List<Path> files = List.of(record("a/r.json", "bench"), record("b/r.json", "bench"), record("a/s.json", "bench"), record("t.json", "night"));
        List<Named> read = RecordNames.read(files, _ -> { });
        assertEquals(List.of("a/r", "b/r", "s", "night"), read.stream().map(Named::name).toList());
        assertEquals("night", RecordNames.resolve("t.json", files, read));
        assertEquals(List.of("a/r", "a/r#2"), RecordNames.read(List.of(files.getFirst(), files.getFirst()), _ -> { }).stream().map(Named::name).toList());
    }

    private Path record(String file, String name) throws IOException {
        Path path = folder.resolve(file);
        Files.createDirectories(path.getParent());
        RecordFile.write(path, Records.record(name, List.of(Records.measurement("jvm", Records.workload(64), Records.samples(10, 5, 1)))));
        return path;
    }
}
