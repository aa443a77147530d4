package io.github.flashlla.tornado.kernels.decode;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.MatrixUnits;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A step of {@link TensorCoreCgDecode} on the JVM against float64: two sequences, the second with a third of the keys. What kernels
 * write, and what the cache has beyond its tokens, is poisoned.
 */
class TensorCoreDecodeOnJvm {
    private static final String PACKAGE = "io.github.flashlla.tornado.kernels.decode.TensorCoreCg";
    private static final int DIM = TensorCoreCgDecode.DIM;
    private static final int SEQUENCES = 2;
    private static final int LAUNCHED = 4;
    private static final float SCALE = 0.125f;
    private static final float TOLERANCE = 1e-4f;
    private static final float RIDGE = 30f;

    private final Random random = new Random(3);
    private final ClassLoader kernels = MatrixUnits.classes(PACKAGE);

    /** @param hw heads that share what a work-group reads */
    @ParameterizedTest
    @CsvSource({"4, 1, 4, 300, 2, 1", "6, 1, 2, 130, 3, 1", "3, 1, 3, 70, 2, 1", "2, 2, 1, 5, 2, 1", "8, 1, 4, 45, 1, 20"})
    void agreesWithFloat64(int heads, int kvHeads, int hw, int length, int splits, float qTimes) throws Exception {
        int group = heads / kvHeads;
        int rows = SEQUENCES * heads;
        int units = rows / hw;
        int capacity = Math.ceilDiv(length, 32) * 32;
        int finishing = Math.max(1, splits - 1);
        IntArray sizes = DecodeSizes.of(new AttentionShape(SEQUENCES, heads, kvHeads, 1, capacity, DIM, DIM), capacity, splits);
        sizes.set(DecodeSizes.FINISHING_SPLITS, finishing);
        FloatArray settings = DecodeSizes.settings(SCALE, TOLERANCE);
        FloatArray q = new FloatArray(rows * DIM);
        FloatArray scaledQ = new FloatArray(rows * DIM);
        for (int i = 0; i < q.getSize(); i++) {
            q.set(i, (float) random.nextGaussian() * qTimes);
            scaledQ.set(i, q.get(i) * SCALE);
        }
        IntArray lengths = IntArray.fromElements(length, length / 3);
        HalfFloatArray k = cache(kvHeads, capacity, lengths);
        HalfFloatArray v = cache(kvHeads, capacity, lengths);
        FloatArray ridges = new FloatArray(rows);
        ridges.init(RIDGE);
        FloatArray none = new FloatArray(1);
        FloatArray sums = poisoned(rows * splits * (2 * DIM + 3));
        FloatArray state = poisoned(rows * CgDecodeState.VECTORS * DIM);
        FloatArray facts = poisoned(rows * CgDecodeState.FACTS);
        FloatArray parts = poisoned(rows * splits * (DIM + 1));
        FloatArray outputs = poisoned(rows * finishing * 2 * DIM);
        FloatArray scratch = poisoned(units * TensorCoreCgDecode.WARPS * splits * TensorCoreCgDecode.SCRATCH);
        FloatArray o = poisoned(rows * DIM);

        Method gather = method("Decode", "gather");
        Method multiply = method("Multiply", "multiply");
        Method finish = method("Finish", "finish");
        JvmGroup.run(units * splits, TensorCoreCgDecode.THREADS,
                ctx -> call(gather, ctx, k, scaledQ, lengths, sums, scratch, sizes, hw));
        JvmGroup.run(rows, 64, ctx -> CgDecodeSolve.begin(ctx, none, k, q, ridges, lengths, sums, state, facts, sizes, settings, 1, DIM,
                LAUNCHED));
        for (int i = 0; i < LAUNCHED; i++) {
            int pass = i;
            JvmGroup.run(units * splits, TensorCoreCgDecode.THREADS, ctx -> call(multiply, ctx, k, scaledQ, lengths, state, facts, parts,
                    scratch, sizes, hw, pass));
            JvmGroup.run(units * finishing, TensorCoreCgDecode.WARPS * TensorCoreCgDecode.THREADS, ctx -> call(finish, ctx, k, v, scaledQ,
                    lengths, state, facts, parts, outputs, scratch, sizes, hw, pass));
            JvmGroup.run(rows, 64, ctx -> CgDecodeSolve.advance(ctx, q, ridges, parts, state, facts, sizes, settings, DIM, hw, pass,
                    LAUNCHED));
        }
        JvmGroup.run(Math.ceilDiv(o.getSize(), 64), 64, ctx -> TensorCoreCgDecode.merge(ctx, outputs, facts, o, sizes));
        for (int sequence = 0; sequence < SEQUENCES; sequence++) {
            double error = error(sequence, heads, kvHeads, lengths.get(sequence), capacity, q, k, v, o);
            assertTrue(error <= 2e-4, "sequence " + sequence + ": error " + error);
        }
    }

    private HalfFloatArray cache(int kvHeads, int capacity, IntArray lengths) {
        HalfFloatArray cache = new HalfFloatArray(SEQUENCES * kvHeads * capacity * DIM);
        for (int i = 0; i < cache.getSize(); i++) {
            cache.set(i, new HalfFloat(Float.NaN));
        }
        for (int unit = 0; unit < SEQUENCES * kvHeads; unit++) {
            for (int n = 0; n < lengths.get(unit / kvHeads) * DIM; n++) {
                cache.set(CacheLayout.index(unit * capacity + n / DIM, n % DIM, DIM), new HalfFloat((float) random.nextGaussian()));
            }
        }
        return cache;
    }

    private static FloatArray poisoned(int size) {
        FloatArray array = new FloatArray(size);
        array.init(Float.NaN);
        return array;
    }

    private Method method(String type, String name) throws ClassNotFoundException {
        return Arrays.stream(kernels.loadClass(PACKAGE + type).getDeclaredMethods()).filter(m -> m.getName().equals(name)).findFirst()
                .orElseThrow();
    }

    private static void call(Method kernel, KernelContext context, Object... arguments) {
        Object[] all = new Object[arguments.length + 1];
        all[0] = context;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        try {
            kernel.invoke(null, all);
        } catch (IllegalAccessException | InvocationTargetException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Of a sequence's o, relative to its length. */
    private static double error(int sequence, int heads, int kvHeads, int length, int capacity, FloatArray q, HalfFloatArray k,
            HalfFloatArray v, FloatArray o) {
        AttentionShape shape = new AttentionShape(1, heads, kvHeads, 1, length, DIM, DIM);
        LlaOptions options = LlaOptions.defaults().withRidge(RIDGE).withTolerance(1e-6f);
        float[] queries = new float[heads * DIM];
        for (int i = 0; i < queries.length; i++) {
            queries[i] = q.get(sequence * queries.length + i);
        }
        double distance = 0;
        double size = 0;
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(shape, options)) {
            LlaResult expected = plan.newResult();
            plan.forward(new LlaInputs(Tensor.of(queries, shape.queryDims()), rows(k, sequence * kvHeads, kvHeads, length, capacity, shape),
                    rows(v, sequence * kvHeads, kvHeads, length, capacity, shape), null), expected);
            for (int i = 0; i < queries.length; i++) {
                distance += Math.pow(expected.output().get(i) - o.get(sequence * queries.length + i), 2);
                size += Math.pow(expected.output().get(i), 2);
            }
        }
        return Math.sqrt(distance / size);
    }

    private static Tensor rows(HalfFloatArray cache, int unit, int kvHeads, int length, int capacity, AttentionShape shape) {
        float[] rows = new float[kvHeads * length * DIM];
        for (int i = 0; i < rows.length; i++) {
            int row = (unit + i / DIM / length) * capacity + i / DIM % length;
            rows[i] = cache.get(CacheLayout.index(row, i % DIM, DIM)).getFloat32();
        }
        return Tensor.of(rows, shape.keyDims());
    }
}
