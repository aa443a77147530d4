package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.tornado.LlaArrays;
import io.github.flashlla.tornado.support.BothPasses;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/** Where the caller's memory lies, and what lies around it, changes no bit of what a plan computes. */
class InPlaceOnDevice {
    private static final AttentionShape SHAPE = new AttentionShape(1, 4, 2, 40, 50, 16, 16);
    private static final int PAGE = 4096;

    private final Device device = Devices.open(TestDevice.NAME);

    @TempDir
    private Path folder;

    @AfterEach
    void close() {
        device.close();
    }

    /** float16 goes as it is where the device computes in it, and is widened on the way elsewhere. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT16"})
    void bitsAreThoseOfCopiedInputs(DataType type) {
        LlaOptions options = LlaOptions.defaults().withKeepState(true)
                .withPrecision(device.info().precisions().contains(type) ? type : DataType.FLOAT32);
        LlaInputs inputs = RandomInputs.normal(SHAPE, type, 5);
        Tensor g = RandomInputs.gradient(SHAPE).as(DataType.FLOAT32);
        try (LlaPlan plan = device.plan(SHAPE, options); Arena arena = Arena.ofShared()) {
            List<float[]> copied = answers(plan, at(inputs, arena, 0), g); // a page's first element is never sent from where it is
            answers(plan, at(RandomInputs.normal(SHAPE, type, 6), arena, 48), g); // so that nothing of the first run is left
            LlaInputs mapped = new LlaInputs(mapped("q", inputs.q()), mapped("k", inputs.k()), mapped("v", inputs.v()), null);
            for (LlaInputs placed : List.of(at(inputs, arena, 48), at(inputs, arena, PAGE - 8), mapped)) {
                List<float[]> found = answers(plan, placed, g);
                for (int n = 0; n < copied.size(); n++) {
                    assertArrayEquals(copied.get(n), found.get(n), "array " + n);
                }
            }
        }
    }

    @Test
    void gradientsOfInputsThatTheDeviceNoLongerHas() {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 5);
        Tensor g = RandomInputs.gradient(SHAPE).as(DataType.FLOAT32);
        try (LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults().withKeepState(true)); Arena arena = Arena.ofShared()) {
            LlaInputs placed = at(inputs, arena, 48);
            LlaResult result = plan.newResult();
            plan.forward(placed, result);
            LlaGradients once = plan.newGradients();
            plan.backward(placed, result, g, once);
            plan.forward(at(RandomInputs.normal(SHAPE, DataType.FLOAT32, 6), arena, 48), plan.newResult());
            LlaGradients again = plan.newGradients();
            plan.backward(placed, result, g, again);
            assertArrayEquals(once.dk().toFloatArray(), again.dk().toFloatArray());
        }
    }

    /** As for every other use of such memory, and not the end of the process. */
    @Test
    void closedMemoryIsAnException() {
        try (LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults())) {
            LlaInputs closed;
            try (Arena arena = Arena.ofShared()) {
                closed = at(RandomInputs.normal(SHAPE, DataType.FLOAT32, 5), arena, 48);
            }
            LlaResult result = plan.newResult();
            Throwable thrown = assertThrows(RuntimeException.class, () -> plan.forward(closed, result));
            assertTrue(Stream.iterate(thrown, cause -> cause != null, Throwable::getCause).anyMatch(IllegalStateException.class::isInstance),
                    thrown.toString());
        }
    }

    /** TornadoVM's arrays over the caller's memory, with room in front for their headers: nothing is copied on the host, results neither. */
    @Test
    void taskGraphsReadAndWriteMemoryOfTheCaller() throws Exception {
        LlaOptions options = LlaOptions.defaults().withKeepState(true);
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 5);
        Tensor g = RandomInputs.gradient(SHAPE).as(DataType.FLOAT32);
        try (Arena arena = Arena.ofShared()) {
            MemorySegment o = room(arena, SHAPE.outputDims());
            LlaArrays arrays = LlaArrays.of(wrapped(arena, inputs.q()), wrapped(arena, inputs.k()), wrapped(arena, inputs.v()), FloatArray.fromSegmentShallow(o));
            LlaArrays gradients = LlaArrays.of(FloatArray.fromSegmentShallow(room(arena, SHAPE.queryDims())), FloatArray.fromSegmentShallow(room(arena, SHAPE.keyDims())),
                    FloatArray.fromSegmentShallow(room(arena, SHAPE.valueDims())), wrapped(arena, g));
            try (BothPasses passes = new BothPasses(SHAPE, options, arrays, gradients)) {
                passes.run();
            }
            Tensor found = Tensor.wrap(o.asSlice(TornadoNativeArray.ARRAY_HEADER), DataType.FLOAT32, SHAPE.outputDims());
            double error = Accuracy.relativeError(found, TestDevice.expected(inputs, options));
            assertTrue(error <= 1e-3, "off by " + error);
        }
    }

    private static FloatArray wrapped(Arena arena, Tensor tensor) {
        MemorySegment room = room(arena, tensor.dims());
        room.asSlice(TornadoNativeArray.ARRAY_HEADER).copyFrom(tensor.segment());
        return FloatArray.fromSegmentShallow(room);
    }

    private static MemorySegment room(Arena arena, long[] dims) {
        return arena.allocate(TornadoNativeArray.ARRAY_HEADER + LongStream.of(dims).reduce(Float.BYTES, Math::multiplyExact), 16);
    }

    private static List<float[]> answers(LlaPlan plan, LlaInputs inputs, Tensor g) {
        LlaResult result = plan.newResult();
        plan.forward(inputs, result);
        assertEquals(-1, result.output().firstNonFinite());
        LlaGradients gradients = plan.newGradients();
        plan.backward(inputs, result, g, gradients);
        return Stream.of(result.output(), result.logSumExp(), result.x(), gradients.dq(), gradients.dk(), gradients.dv(), gradients.dridge())
                .map(Tensor::toFloatArray).toList();
    }

    private Tensor mapped(String name, Tensor tensor) {
        Path file = folder.resolve(name + ".npy");
        Npy.write(file, tensor);
        return Npy.read(file);
    }

    /** Copies of all three that begin so many bytes into a page, with NaN on both sides. */
    private static LlaInputs at(LlaInputs inputs, Arena arena, long offset) {
        return new LlaInputs(at(inputs.q(), arena, offset), at(inputs.k(), arena, offset), at(inputs.v(), arena, offset), null);
    }

    private static Tensor at(Tensor tensor, Arena arena, long offset) {
        MemorySegment around = arena.allocate(tensor.byteSize() + 2 * PAGE, PAGE).fill((byte) -1);
        MemorySegment elements = around.asSlice(offset, tensor.byteSize());
        elements.copyFrom(tensor.segment());
        return Tensor.wrap(elements, tensor.type(), tensor.dims());
    }
}
