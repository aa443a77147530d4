package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.tornado.kernels.KeyCentre;
import io.github.flashlla.tornado.kernels.Poison;
import io.github.flashlla.tornado.kernels.forward.CpuForward;
import io.github.flashlla.tornado.kernels.forward.GpuMean;
import io.github.flashlla.tornado.kernels.forward.GpuOutput;
import io.github.flashlla.tornado.kernels.forward.GpuSolve;
import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.forward.TileOutput;
import io.github.flashlla.tornado.kernels.forward.TileList;
import io.github.flashlla.tornado.kernels.forward.TileSolve;
import java.lang.reflect.Method;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Which kernels TornadoVM compiles for the sizes of their arrays. */
class ArraySizesOnDevice {
    static void asks(FloatArray a) {
        a.set(0, a.getSize());
    }

    static void asksByAHelper(FloatArray a) {
        a.set(0, last(a));
    }

    private static float last(FloatArray a) {
        return a.get(a.getSize() - 1);
    }

    static void doesNotAsk(FloatArray a) {
        a.set(0, a.get(1));
    }

    private static boolean read(Class<?> owner, String name) {
        Method kernel = Arrays.stream(owner.getDeclaredMethods()).filter(method -> method.getName().equals(name)).findFirst().orElseThrow();
        return ArraySizes.areReadBy(kernel);
    }

    @Test
    void helpersAreLookedInto() {
        assertEquals(true, read(ArraySizesOnDevice.class, "asks"));
        assertEquals(true, read(ArraySizesOnDevice.class, "asksByAHelper"));
        assertEquals(false, read(ArraySizesOnDevice.class, "doesNotAsk"));
    }

    /** Else each length would compile them anew. */
    @Test
    void kernelsOfPlansDoNotAsk() {
        assertEquals(false, read(Poison.class, "poison"));
        assertEquals(false, read(KeyCentre.class, "centre"));
        assertEquals(false, read(CpuForward.class, "forward"));
        assertEquals(false, read(GpuMean.class, "mean"));
        assertEquals(false, read(GpuSolve.class, "solve"));
        assertEquals(false, read(GpuOutput.class, "output"));
        assertEquals(false, read(TileForward.class, "pack"));
        assertEquals(false, read(TileForward.class, "mean"));
        assertEquals(false, read(TileSolve.class, "solve"));
        assertEquals(false, read(TileList.class, "list"));
        assertEquals(false, read(TileOutput.class, "output"));
    }
}
