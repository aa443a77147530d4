package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Views with strides give the bits that their row-major copies give, and take no memory of their own. */
class LayoutsTest {
    private static final AttentionShape SHAPE = new AttentionShape(2, 4, 2, 70, 70, 24, 24);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);

    /** (B,S,H + 2 Hkv,D) */
    private static Tensor packed(DataType type) {
        return Problems.normal(new Random(3), DataType.FLOAT32, 1, 2, 70, 8, 24).as(type);
    }

    private static LlaInputs copies(LlaInputs inputs) {
        return LlaInputs.of(inputs.q().copy(), inputs.k().copy(), inputs.v().copy());
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({"jvm,FLOAT32", "jvm,FLOAT16", "jvm,BFLOAT16", "jvm,FLOAT64", "reference,FLOAT32", "reference,FLOAT64"})
    void packedInputsEqualTheirCopies(String device, DataType type) {
        Tensor qkv = packed(type);
        LlaInputs views = LlaInputs.packed(qkv, 4, 2);
        assertFalse(views.k().isRowMajor());
        assertEquals(SHAPE, views.shape());
        try (Device opened = Devices.open(device); LlaPlan plan = opened.plan(SHAPE, OPTIONS)) {
            LlaInputs rowMajor = copies(views);
            LlaResult expected = plan.newResult();
            plan.forward(rowMajor, expected);
            long before = plan.workspaceBytes();
            Tensor memory = Tensor.allocate(DataType.FLOAT32, 2, 70, 4, 24);
            LlaResult found = new LlaResult(SHAPE, memory.permute(0, 2, 1, 3), true);
            plan.forward(views, found);
            assertArrayEquals(expected.output().as(DataType.FLOAT32).toFloatArray(), found.output().toFloatArray());
            assertEquals(expected.output().as(DataType.FLOAT32).get((2 * 70 + 7) * 24 + 3), memory.get((7 * 4 + 2) * 24 + 3), "token 7 of head 2");

            Tensor g = Problems.normal(new Random(4), DataType.FLOAT32, 1, SHAPE.outputDims());
            LlaGradients gradients = plan.newGradients();
            plan.backward(rowMajor, expected, g, gradients);
            long backward = plan.workspaceBytes();
            Tensor dqkv = Tensor.allocate(DataType.FLOAT32, 2, 70, 8, 24);
            LlaInputs room = LlaInputs.packed(dqkv, 4, 2);
            LlaGradients packed = new LlaGradients(SHAPE, room.q(), room.k(), room.v());
            plan.backward(views, found, g, packed);
            assertArrayEquals(gradients.dq().as(DataType.FLOAT32).toFloatArray(), room.q().toFloatArray());
            assertArrayEquals(gradients.dk().as(DataType.FLOAT32).toFloatArray(), room.k().toFloatArray());
            assertArrayEquals(gradients.dv().as(DataType.FLOAT32).toFloatArray(), room.v().toFloatArray());
            assertEquals(-1, dqkv.firstNonFinite(), "every element of dqkv belongs to one of them");
            plan.forward(rowMajor, expected);
            assertEquals(backward, plan.workspaceBytes());
            assertTrue(before <= backward);
            assertTrue(plan.describe().endsWith("."), plan.describe());
        }
    }

    @ParameterizedTest
    @EnumSource
    void aStepReadsViews(DataType type) {
        LlaInputs views = LlaInputs.packed(packed(type), 4, 2);
        LlaInputs last = LlaInputs.of(views.q().part(2, 69, 1), views.k(), views.v());
        try (Device device = Devices.open("jvm")) {
            LlaResult expected = device.decode(copies(last), LlaOptions.defaults());
            assertArrayEquals(expected.output().toFloatArray(), device.decode(last, LlaOptions.defaults()).output().toFloatArray());
        }
    }

    @Test
    void memoryWithStridesIsReadInPlace() {
        Tensor memory = Problems.normal(new Random(5), DataType.FLOAT32, 1, 3, 2, 70, 4, 24); // q, k and v of (B,S,H,D)
        AttentionShape shape = AttentionShape.square(2, 4, 70, 24);
        long n = memory.size() / 3;
        LlaInputs inputs = LlaInputs.of(memory.segment(), DataType.FLOAT32, shape, new Strides(0, n / 2, 24, 96), new Strides(n, n / 2, 24, 96),
                new Strides(2 * n, n / 2, 24, 96));
        assertEquals(memory.get(n + (65 * 4 + 3) * 24 + 5), inputs.k().get((3 * 70 + 65) * 24 + 5), "token 65 of head 3");
        inputs.v().set(0, 42);
        assertEquals(42, memory.get(2 * n));
        assertThrows(InvalidInputException.class, () -> LlaInputs.of(memory.segment(), DataType.FLOAT32, shape, new Strides(0, n / 2, 24, 96),
                new Strides(n, n / 2, 24, 96), new Strides(2 * n + 1, n / 2, 24, 96)));
        assertThrows(InvalidInputException.class, () -> LlaInputs.of(memory.segment(), DataType.FLOAT32, shape, new Strides(-1, 0, 0, 0),
                new Strides(0, 0, 0, 0), new Strides(0, 0, 0, 0)));
    }

    @Test
    void viewsKeepTheirElementsInOrder() {
        Tensor t = Tensor.of(new float[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 2, 3, 2);
        assertArrayEquals(new float[] {0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}, t.permute(1, 0, 2).toFloatArray());
        assertArrayEquals(new float[] {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}, t.permute(0, 2, 1).copy().toFloatArray());
        assertArrayEquals(new float[] {4, 5, 10, 11}, t.part(1, 2, 1).reshape(2, 2).toFloatArray());
        assertArrayEquals(new long[] {6, 1}, t.part(1, 2, 1).reshape(2, 2).strides());
        assertTrue(t.part(0, 1, 1).isRowMajor());
        assertTrue(t.permute(1, 0, 2).permute(1, 0, 2).isRowMajor());
        assertArrayEquals(new float[] {5, 5, 5}, Tensor.wrap(t.segment().asSlice(20), DataType.FLOAT32, new long[] {3}, new long[] {0}).toFloatArray());
        Tensor column = t.part(2, 1, 1);
        column.fill(0);
        assertArrayEquals(new float[] {0, 0, 2, 0, 4, 0, 6, 0, 8, 0, 10, 0}, t.toFloatArray());
        column.copyFrom(new float[] {9, 9, 9, 9}, 1, 3, 3);
        assertArrayEquals(new float[] {0, 0, 2, 0, 4, 0, 6, 9, 8, 9, 10, 9}, t.toFloatArray());
        assertSame(t.memory(), t.segment());
        assertThrows(InvalidInputException.class, column::segment);
        assertThrows(InvalidInputException.class, () -> t.permute(1, 0, 2).reshape(12));
        assertThrows(InvalidInputException.class, () -> t.permute(0, 0, 2));
        assertThrows(IndexOutOfBoundsException.class, () -> column.get(6));
        assertThrows(IndexOutOfBoundsException.class, () -> t.part(1, 2, 2));
        assertThrows(InvalidInputException.class, () -> Tensor.wrap(t.segment(), DataType.FLOAT32, new long[] {2, 2}, new long[] {11, 1}));
        assertThrows(InvalidInputException.class, () -> Tensor.wrap(t.segment(), DataType.FLOAT32, new long[] {2}, new long[] {-1}));
        assertThrows(InvalidInputException.class, () -> Tensor.wrap(t.segment(), DataType.FLOAT32, new long[] {2, 2}, new long[] {Long.MAX_VALUE, 2}));
        assertEquals(0, t.part(1, 3, 0).size());
    }
}
