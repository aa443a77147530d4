package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceInfo.Trait;
import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordedDevicesTest {
    private static final Path H200 = Path.of(System.getProperty("flashlla.root"), "bench/results/h200/float32.json");

    @TempDir
    private Path folder;

    /** All that {@code devices --format json} prints of a device. */
    @Test
    void devicesAreReadAsTheyWere() throws IOException {
        DeviceInfo gpu = new DeviceInfo("cuda:1", "cuda", DeviceInfo.Type.GPU, "a GPU", "its vendor", "a driver", 1L << 30, 48 << 10, 8,
                List.of(DataType.FLOAT32, DataType.FLOAT16), Trait.WARP_GROUPS);
        DeviceInfo other = new DeviceInfo("cuda:2", "cuda", DeviceInfo.Type.GPU, "NVIDIA H200", "its vendor", "a driver", -1, 48 << 10, -1, List.of(DataType.FLOAT32));
        Path file = folder.resolve("devices.json");
        Files.writeString(file, new ObjectMapper().writeValueAsString(Map.of("devices", List.of(gpu, other))));
        assertEquals(List.of(gpu, other), RecordedDevices.select(file, null));
        Files.writeString(file, Files.readString(file).replace("WARP_GROUPS", "WINGS"));
        assertThrows(InvalidInputException.class, () -> RecordedDevices.select(file, null));
    }

    /** Records do not tell all of it. */
    @Test
    void recordsAreCompleted() {
        DeviceInfo cuda = RecordedDevices.select(H200, List.of("cuda:0")).getFirst();
        assertTrue(cuda.has(Trait.WARP_GROUPS) && cuda.precisions().contains(DataType.FLOAT16), cuda.toString());
        DeviceInfo opencl = RecordedDevices.select(H200, List.of("opencl:0")).getFirst();
        assertFalse(opencl.has(Trait.WARP_GROUPS) || opencl.precisions().contains(DataType.FLOAT16), opencl.toString());
    }
}
