package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.precise.PrecisePlan;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import java.util.Random;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What becomes of bfloat16 inputs, whose products are of float16. */
class TileBfloat16OnJvm {
    private static final int LENGTH = 96;
    private static final int D = 64;
    private static final AttentionShape SHAPE = new AttentionShape(1, 1, 1, LENGTH, LENGTH, D, D);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withCausal(true).withTolerance(1e-3).withPrecision(DataType.FLOAT16)
            .withKeepState(true);
    /** From here on all bfloat16 numbers are float16 numbers, up to 65280; smaller ones are rounded to multiples of 2^-24. */
    private static final double SMALLEST = 0x1p-17;
    private static final double LARGEST = 65504;

    /** Every bfloat16 number: packed as it is; below the smallest to the nearest that there is, above the largest to infinity. */
    @Test
    void packsExactly() {
        int rows = 65536 / D;
        FloatArray k = new FloatArray(65536);
        for (int i = 0; i < 65536; i++) {
            k.set(i, Float.intBitsToFloat(i << 16));
        }
        HalfFloatArray packed = new HalfFloatArray(TilePieces.FIRST + 2 * 65536);
        IntArray sizes = IntArray.fromElements(1, 1, rows, rows, rows, 1, 1);
        JvmGroup.run(packed.getSize() / 2048, 256, ctx -> TileForward.pack(ctx, k, k, packed, sizes, D, D, TilePieces.stride(D), TilePieces.stride(D)));
        int exact = 0;
        for (int i = 0; i < 65536; i++) {
            float number = k.get(i / D * D + TilePieces.dimension(i % D));
            float found = packed.get(TilePieces.FIRST + i).getFloat32();
            double size = Math.abs(number);
            if (size == 0 || size >= SMALLEST && size <= LARGEST) {
                assertEquals(number, found);
                exact++;
            } else if (size < SMALLEST) {
                assertTrue(Math.abs(number - found) <= 0x1p-25, () -> number + " became " + found);
            } else {
                assertEquals(Double.isNaN(size) ? Float.NaN : Math.signum(number) * Float.POSITIVE_INFINITY, found);
            }
        }
        assertEquals(2 * (1 + 128 * 33), exact); // either zero, and 33 powers of two
    }

    /** The same numbers in any type: the same result, within the bars of float16. */
    @Test
    void isAsAccurateAsFloat16() {
        try (EmulatedTilePlan plan = new EmulatedTilePlan(SHAPE, OPTIONS)) {
            LlaInputs inputs = inputs(DataType.BFLOAT16, 1);
            LlaResult found = plan.newResult();
            plan.forward(inputs, found);
            LlaResult same = plan.newResult();
            plan.forward(inputs(DataType.FLOAT32, 1), same);
            assertTrue(error(found, expected(inputs), 0, LENGTH * D) <= 1.5e-3);
            assertEquals(0, error(found, same, 0, LENGTH * D));
        }
    }

    /** Keys and values beyond float16: right all the same, or the result says that queries are not solved. */
    @Test
    void isRightBeyondFloat16OrSaysSo() {
        try (PrecisePlan plan = new PrecisePlan("emulated", SHAPE, OPTIONS, o -> new EmulatedTilePlan(SHAPE, o))) {
            LlaInputs inputs = inputs(DataType.BFLOAT16, 1e5);
            LlaResult found = plan.newResult();
            plan.forward(inputs, found);
            LlaResult expected = expected(inputs);
            for (int row = 0; row < LENGTH; row++) {
                double error = error(found, expected, row * D, row * D + D);
                assertTrue(error <= 2e-2 || found.residual()[row] > 1e-3, "query " + row + " is off by " + error);
            }
        }
    }

    private static LlaInputs inputs(DataType type, double largest) {
        Random random = new Random(5);
        Tensor[] tensors = new Tensor[3];
        for (int t = 0; t < 3; t++) {
            tensors[t] = Tensor.allocate(type, 1, 1, LENGTH, D);
            for (int i = 0; i < tensors[t].size(); i++) {
                float number = (float) random.nextGaussian() * (t > 0 && i == 40 * D ? (float) largest : 1f);
                tensors[t].set(i, Float.intBitsToFloat(Float.floatToRawIntBits(number) & 0xffff0000));
            }
        }
        return LlaInputs.of(tensors[0], tensors[1], tensors[2]);
    }

    private static LlaResult expected(LlaInputs inputs) {
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(SHAPE, OPTIONS.withPrecision(DataType.FLOAT32).withTolerance(1e-8))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            return result;
        }
    }

    private static double error(LlaResult found, LlaResult expected, int from, int to) {
        double error = 0;
        double size = 0;
        for (int i = from; i < to; i++) {
            error += Math.pow(found.output().get(i) - expected.output().get(i), 2);
            size += Math.pow(expected.output().get(i), 2);
        }
        return Math.sqrt(error / size);
    }
}
