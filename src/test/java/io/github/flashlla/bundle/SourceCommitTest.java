package io.github.flashlla.bundle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SourceCommitTest {
    @TempDir
    Path folder;

    /** A bundle knows what it was packed from, wherever it is unpacked. */
    @Test
    void bundleHoldsItsCommit() throws IOException {
        Files.writeString(folder.resolve("pom.xml"), "");
        Files.writeString(folder.resolve(SourceCommit.FILE), "0123456789ab-dirty\n");
        assertEquals(Optional.of("0123456789ab-dirty"), SourceCommit.of(folder));
    }

    @Test
    void folderThatIsNoCheckoutHasNone() {
        assertEquals(Optional.empty(), SourceCommit.of(folder));
    }
}
