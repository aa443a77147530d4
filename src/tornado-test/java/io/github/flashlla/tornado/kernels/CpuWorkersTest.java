package io.github.flashlla.tornado.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpuWorkersTest {

    /** As many for each core, where neither memory nor the blocks allow for four. */
    @ParameterizedTest
    @CsvSource({"2, 256, 7, 6", "2, 256, 8, 8", "2, 256, 100, 8", "2, 256, 3, 2", "4, 256, 15, 12", "4, 256, 3, 3", "2, 7, 100, 7", "2, 1, 100, 1", "2, 256, 1, 1"})
    void coresGetEquallyMany(int cores, int blocks, int slices, int count) {
        DeviceInfo cpu = new DeviceInfo("opencl:7", "opencl", DeviceInfo.Type.CPU, "a CPU", "none", "none", 8L << 30, 1 << 20, cores, List.of(DataType.FLOAT32));
        long floats = 10 * CpuWorkers.SMALL / Float.BYTES;
        CpuWorkers workers = CpuWorkers.fitting(VariantDevice.of(cpu), blocks, slices * floats * Float.BYTES, 0, keep -> floats);
        assertEquals(count, workers.count());
        assertEquals(count * floats, workers.floats());
    }
}
