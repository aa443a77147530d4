package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelChoicesTest {
    @TempDir
    private Path folder;

    @Test
    void aFileThatIsNotThereOrIsAFolderIsNamed() {
        refuses(folder.resolve("nowhere.json"));
        refuses(folder);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "[]", "7", "\u0000\u0001\u0002", "{\"devices\": []}", "{\"devices\": [{\"name\": \"x\", \"type\": \"toaster\"}]}"})
    void aFileThatDescribesNoDevicesIsNamed(String text) throws IOException {
        Path file = folder.resolve("devices.json");
        Files.writeString(file, text);
        refuses(file);
    }

    @Test
    void aFileInNoEncodingIsNamed() throws IOException {
        Path file = folder.resolve("devices.json");
        Files.write(file, new byte[] {'{', '"', (byte) 0xff, (byte) 0xfe, '"', ':', '1', '}'});
        refuses(file);
    }

    private static void refuses(Path file) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), "devices", "--kernels", "1x8x1024x64", "--as", file.toString());
        String told = err.toString().strip();
        assertEquals(2, status, told);
        assertEquals("", out.toString());
        assertTrue(told.startsWith("flashlla: ") && told.contains(file.toString()) && told.endsWith("."), told);
        assertEquals(1, told.lines().count(), told);
        assertFalse(told.contains("Exception"), told);
    }
}
