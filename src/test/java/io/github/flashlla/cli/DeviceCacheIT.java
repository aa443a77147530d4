package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.cli.Launcher.Run;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The list of devices is the same, whatever lies where answers of earlier processes are kept. */
class DeviceCacheIT {
    @TempDir
    private Path folder;

    @Test
    void theListOfDevicesIsTheSameWithAnyCache() throws IOException {
        Path cache = folder.resolve("cache");
        Launcher launcher = new Launcher(folder).with("FLASHLLA_CACHE", cache.toString());
        Run cold = launcher.run("devices");
        assertEquals(0, cold.status(), cold.err());
        assertEquals(cold, launcher.run("devices"), "warm");
        if (Files.exists(cache.resolve("devices.json"))) { // written where an SDK is
            Files.writeString(cache.resolve("devices.json"), "{\"version\":1,\"key\":");
        }
        assertEquals(cold, launcher.run("devices"), "truncated");
        assertEquals(cold, launcher.run("devices", "--refresh"), "refreshed");
        Files.writeString(folder.resolve("file"), "no folder");
        assertEquals(cold, new Launcher(folder).with("FLASHLLA_CACHE", folder.resolve("file").toString()).run("devices"), "unwritable");
    }

    @Test
    void doctorSaysWhereAnswersAreKept() throws IOException {
        Run doctor = new Launcher(folder).with("FLASHLLA_CACHE", folder.resolve("cache").toString()).run("doctor");
        assertTrue(doctor.out().contains("device cache"), doctor.out());
        Files.writeString(folder.resolve("file"), "no folder");
        String refused = new Launcher(folder).with("FLASHLLA_CACHE", folder.resolve("file").toString()).run("doctor").out();
        assertTrue(refused.lines().filter(line -> line.contains("refuses files")).allMatch(line -> line.startsWith("note ")), refused);
    }
}
