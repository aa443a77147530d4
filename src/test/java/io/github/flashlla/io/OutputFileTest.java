package io.github.flashlla.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OutputFileTest {
    @TempDir
    private Path folder;

    /** Standard output may be a file, which would be taken from the process that writes into it. */
    @ParameterizedTest
    @ValueSource(strings = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/2"})
    void whatIsOpenIsNoPlace(String name) {
        String said = assertThrows(InvalidInputException.class, () -> OutputFile.create(Path.of(name))).getMessage();
        assertTrue(said.startsWith(name + " is open already"), said);
    }

    @Test
    void aLinkIsFollowedAndADeviceRefused() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "before");
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("file"));
        try (OutputFile output = OutputFile.create(link)) {
            Files.writeString(output.temporary(), "after");
            output.commit();
        }
        assertEquals("after", Files.readString(file));
        assertTrue(Files.isSymbolicLink(link));
        assertTrue(assertThrows(InvalidInputException.class, () -> OutputFile.create(Path.of("/dev/null"))).getMessage().contains("a device or a pipe"));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of("file", "link"), files.map(one -> one.getFileName().toString()).sorted().toList());
        }
    }
}
