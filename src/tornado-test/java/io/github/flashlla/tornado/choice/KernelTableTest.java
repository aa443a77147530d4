package io.github.flashlla.tornado.choice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.Arrangement;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class KernelTableTest {

    @Test
    void notesOnceADeviceThatWindowsAreComputedInFloat32() {
        String first = notes("cuda:7", 3);
        assertEquals(1, first.lines().count(), first);
        assertTrue(first.startsWith("note: cuda:7 computes ") && first.contains(" in float32: "), first);
        assertEquals("", notes("cuda:7", 1));
        assertEquals(1, notes("cuda:8", 2).lines().count(), "another device has a note of its own");
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
