package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.MatrixUnits;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.lang.reflect.Method;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** The float16 forward of devices without the compiler plug-in, run on the JVM against float64: no GPU is needed. */
class TensorCoreOnJvm {
    private static final String PACKAGE = "io.github.flashlla.tornado.kernels.forward.TensorCore";
    private static final int GROUPS = 2;

    @ParameterizedTest
    @CsvSource({"2, 1, 70, 100, 64, 40, true", "1, 1, 20, 70, 33, 64, false"})
    void agreesWithFloat64(int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) throws Exception {
        AttentionShape s = new AttentionShape(1, heads, kvHeads, queries, keys, dim, valueDim);
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withTolerance(1e-3);
        LlaInputs inputs = RandomInputs.normal(s, DataType.FLOAT32, 3);
        int keyTiles = kvHeads * Math.ceilDiv(keys, 64);
        HalfFloatArray packed = new HalfFloatArray(keyTiles * TensorCoreTiles.TILES * TensorCoreTiles.TILE);
        FloatArray ridge = poisoned(s.rows());
        ridge.init((float) options.ridge());
        FloatArray o = poisoned(s.rows() * valueDim);
        FloatArray lse = poisoned(s.rows());
        FloatArray kbar = poisoned(s.rows() * dim);
        FloatArray x = poisoned(s.rows() * dim);
        FloatArray stats = poisoned(2 * s.rows());
        FloatArray scratch = poisoned((long) GROUPS * TensorCoreForward.SCRATCH);
        ClassLoader kernels = MatrixUnits.classes(PACKAGE);
        Method pack = method(kernels, PACKAGE + "Tiles", "pack");
        FloatArray k = array(inputs.k());
        FloatArray v = array(inputs.v());
        JvmGroup.run(keyTiles * TensorCoreTiles.TILE / 128, 128, context -> call(pack, context, k, v, packed, keys, dim, valueDim));
        Method forward = method(kernels, PACKAGE + "Forward", "forward");
        FloatArray q = array(inputs.q());
        JvmGroup.run(GROUPS, TensorCoreTiles.THREADS, context -> call(forward, context, q, packed, ridge, o, lse, kbar, x, stats, scratch,
                s.group(), queries, keys, dim, valueDim, (float) options.scaleFor(dim), Masking.flags(options), (float) options.tolerance(),
                options.maxIterations()));
        try (Device reference = Devices.open("reference")) {
            LlaResult expected = reference.forward(inputs, options);
            assertError(5e-3, Accuracy.relativeError(tensor(o, s.outputDims()), expected.output()));
            assertError(1e-3, Accuracy.relativeError(tensor(lse, s.rowDims()), expected.logSumExp()));
        }
        for (int row = 0; row < s.rows(); row++) {
            assertTrue(stats.get(2 * row) >= 0 && stats.get(2 * row) < 16, "iterations " + stats.get(2 * row));
            assertTrue(stats.get(2 * row + 1) <= 1e-3f, "residual " + stats.get(2 * row + 1));
        }
        assertEquals(-1, tensor(x, s.queryDims()).firstNonFinite());
        assertEquals(-1, tensor(kbar, s.queryDims()).firstNonFinite());
    }

    private static Method method(ClassLoader loader, String type, String name) throws ClassNotFoundException {
        Method method = Arrays.stream(loader.loadClass(type).getDeclaredMethods()).filter(m -> m.getName().equals(name)).findFirst().orElseThrow();
        method.setAccessible(true);
        return method;
    }

    private static void call(Method kernel, KernelContext context, Object... arguments) {
        Object[] all = new Object[arguments.length + 1];
        all[0] = context;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        try {
            kernel.invoke(null, all);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static FloatArray poisoned(long size) {
        FloatArray array = new FloatArray((int) size);
        array.init(Float.NaN);
        return array;
    }

    private static FloatArray array(Tensor tensor) {
        return FloatArray.fromArray(tensor.toFloatArray());
    }

    private static Tensor tensor(FloatArray array, long[] dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (int n = 0; n < array.getSize(); n++) {
            tensor.set(n, array.get(n));
        }
        return tensor;
    }

    private static void assertError(double bar, double error) {
        assertTrue(error <= bar, "off by " + error); // false for NaN
    }
}
