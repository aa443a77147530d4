package io.github.flashlla.tornado.choice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.Arrangement;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KernelTableTest {

    @Test
    void notesOnceADeviceThatWindowsAreComputedInFloat32() {
        String first = notes("cuda:7", 3);
        assertEquals(1, first.lines().count(), first);
        assertTrue(first.startsWith("note: cuda:7 computes ") && first.contains(" in float32: "), first);
        assertEquals("", notes("cuda:7", 1));
        assertEquals(1, notes("cuda:8", 2).lines().count(), "another device has a note of its own");
    }

    @ParameterizedTest
    @CsvSource({"40000, 256", "32, 8"})
    void aSmallerHeadDimIsAdvisedWhereItHelps(int localBytes, int headDim) {
        DeviceInfo gpu = new DeviceInfo("opencl:9", "opencl", DeviceInfo.Type.GPU, "a GPU", "none", "none", 64L << 30, localBytes, 132, List.of(DataType.FLOAT32));
        AttentionShape shape = AttentionShape.square(1, 2, 256, headDim);
        VariantDevice device = VariantDevice.of(gpu);
        String said = assertThrows(InvalidInputException.class,
                () -> KernelTable.backward(device, shape, LlaOptions.defaults(), Arrangement.USUAL)).getMessage();
        Matcher dim = Pattern.compile("; use a smaller head dim, such as (\\d+), another device, or").matcher(said);
        assertEquals(headDim == 256, dim.find(), said);
        if (headDim == 256) {
            KernelTable.backward(device, AttentionShape.square(1, 2, 256, Integer.parseInt(dim.group(1))), LlaOptions.defaults(), Arrangement.USUAL);
        } else {
            assertTrue(said.contains("; use another device, or other kernels"), said);
        }
    }

    /** What {@code plans} problems with a window write to standard error. */
    private static String notes(String device, int plans) {
        DeviceInfo info = new DeviceInfo(device, "cuda", DeviceInfo.Type.GPU, "a GPU", "nvidia", "none", 64L << 30, 48 << 10, 132,
                List.of(DataType.FLOAT32, DataType.FLOAT16));
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        PrintStream before = System.err;
        System.setErr(new PrintStream(written, true, StandardCharsets.UTF_8));
        try {
            for (int plan = 0; plan < plans; plan++) {
                LlaOptions computed = KernelTable.computed(VariantDevice.of(info),
                        AttentionShape.square(1, 2, 256 + plan, 64), LlaOptions.defaults().withPrecision(DataType.FLOAT16).withWindow(128), Arrangement.USUAL);
                assertEquals(DataType.FLOAT32, computed.precision());
            }
        } finally {
            System.setErr(before);
        }
        return written.toString(StandardCharsets.UTF_8);
    }
}
