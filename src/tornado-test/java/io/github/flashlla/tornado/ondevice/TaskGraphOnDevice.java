package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.examples.ProjectionExample;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import java.util.Random;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** LLA's tasks within a graph of the caller's. */
public class TaskGraphOnDevice {
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 1, 70, 70, 16, 16);
    private static final int WIDTH = 24;

    /** The example's layer against the same layer in float64, and twice the same bits. */
    @Test
    void projectionsAroundAttention() {
        float[][] weights = ProjectionExample.weights(SHAPE, WIDTH, 2);
        float[] tokens = new float[SHAPE.queryLength() * WIDTH];
        Random random = new Random(1);
        for (int n = 0; n < tokens.length; n++) {
            tokens[n] = (float) random.nextGaussian();
        }
        LlaOptions options = LlaOptions.defaults();
        try (ProjectionExample layer = new ProjectionExample(TestDevice.NAME, SHAPE, options, WIDTH, weights)) {
            float[] y = layer.run(tokens);
            double error = Accuracy.relativeError(Tensor.of(y, SHAPE.queryLength(), WIDTH), expected(tokens, weights, options));
            assertTrue(error <= 1e-4, "off by " + error);
            assertTrue(layer.iterations() > 0 && layer.iterations() <= options.maxIterations());
            assertArrayEquals(y, layer.run(tokens));
        }
    }

    private static Tensor expected(float[] tokens, float[][] weights, LlaOptions options) {
        int s = SHAPE.queryLength();
        LlaInputs inputs = LlaInputs.of(projected(tokens, weights[0], SHAPE.heads(), SHAPE.headDim()),
                projected(tokens, weights[1], SHAPE.kvHeads(), SHAPE.headDim()),
                projected(tokens, weights[2], SHAPE.kvHeads(), SHAPE.valueDim()));
        Tensor o = TestDevice.expected(inputs, options);
        Tensor y = Tensor.allocate(DataType.FLOAT64, s, WIDTH);
        int dv = SHAPE.valueDim();
        for (int row = 0; row < s; row++) {
            for (int e = 0; e < WIDTH; e++) {
                double sum = 0;
                for (int n = 0; n < SHAPE.heads() * dv; n++) {
                    sum += o.get(((long) (n / dv) * s + row) * dv + n % dv) * weights[3][n * WIDTH + e];
                }
                y.set((long) row * WIDTH + e, sum);
            }
        }
        return y;
    }

    private static Tensor projected(float[] tokens, float[] weights, int heads, int dim) {
        int s = SHAPE.queryLength();
        Tensor out = Tensor.allocate(DataType.FLOAT64, 1, heads, s, dim);
        for (int n = 0; n < out.size(); n++) {
            int row = n / dim % s;
            int column = n / (s * dim) * dim + n % dim;
            double sum = 0;
            for (int e = 0; e < WIDTH; e++) {
                sum += (double) tokens[row * WIDTH + e] * weights[e * heads * dim + column];
            }
            out.set(n, sum);
        }
        return out;
    }

    @Test
    void refusesWrongArraysBeforeAnythingIsCompiled() {
        FloatArray q = new FloatArray(2 * 70 * 16);
        FloatArray k = new FloatArray(70 * 16);
        FloatArray v = new FloatArray(70 * 16);
        FloatArray o = new FloatArray(2 * 70 * 16);
        LlaOptions options = LlaOptions.defaults();
        String sizes = assertThrows(InvalidInputException.class,
                () -> LlaTasks.of(TestDevice.NAME, SHAPE, options, q, new FloatArray(9), v, null, o)).getMessage();
        assertTrue(sizes.contains("k has 9 elements"), sizes);
        String twice = assertThrows(InvalidInputException.class,
                () -> LlaTasks.of(TestDevice.NAME, SHAPE, options, q, k, k, null, o)).getMessage();
        assertTrue(twice.contains("v is another one"), twice);
        String name = assertThrows(InvalidInputException.class,
                () -> LlaTasks.of("opencl:99", SHAPE, options, q, k, v, null, o)).getMessage();
        assertTrue(name.contains(TestDevice.NAME), name);
    }

    @Test
    void joinsOneGraphOnly() {
        LlaTasks lla = LlaTasks.of(TestDevice.NAME, SHAPE, LlaOptions.defaults(), new FloatArray(2 * 70 * 16),
                new FloatArray(70 * 16), new FloatArray(70 * 16), null, new FloatArray(2 * 70 * 16));
        GridScheduler grids = new GridScheduler();
        lla.appendTo(new TaskGraph("one"), grids);
        int tasks = grids.keySet().size();
        String message = assertThrows(IllegalStateException.class, () -> lla.appendTo(new TaskGraph("two"), grids)).getMessage();
        assertTrue(message.contains("one"), message);
        assertEquals(tasks, grids.keySet().size());
        assertTrue(tasks >= 3, "a launch size for each pass: " + tasks);
    }
}
