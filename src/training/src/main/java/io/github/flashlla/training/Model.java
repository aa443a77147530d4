package io.github.flashlla.training;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/**
 * A transformer: positions added to the input, then layers of attention and a perceptron, each after a normalisation and added
 * to what went in. Queries and keys are normalised to norm gain * sqrt(D), with one learned gain per head: keys of one norm make
 * weights depend on distance alone, and the gain is LLA's bandwidth.
 */
final class Model implements AutoCloseable {
    private static final int WIDENING = 4; // of the perceptron
    private static final double EPSILON = 1e-6;

    /**
     * @param length longest sequence
     * @param inputs width of an input row
     * @param outputs width of an output row
     */
    record Sizes(int layers, int dim, int heads, int length, int inputs, int outputs) {}

    private final Sizes sizes;
    private final NDManager manager;
    private final DataType type;
    private final Map<String, NDArray> parameters = new LinkedHashMap<>();

    /**
     * The same for a seed, whatever the attention.
     *
     * @param startRidge what the learned ridge of every head starts from, above 0; 0 for a model without one: a parameter that no graph holds would have no gradient
     */
    Model(Sizes sizes, DataType type, long seed, double startRidge) {
        this.sizes = sizes;
        this.type = type;
        this.manager = Engine.getEngine("PyTorch").newBaseManager();
        Gradients.oneThread();
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        int dim = sizes.dim();
        add("embedding", random, sizes.inputs(), dim, 1);
        parameter("positions", waves(sizes.length(), dim), new Shape(sizes.length(), dim));
        for (int layer = 0; layer < sizes.layers(); layer++) {
            String name = "layer" + layer + ".";
            constant(name + "attention.norm", 1, dim);
            for (String matrix : new String[] {"q", "k", "v", "o"}) {
                add(name + matrix, random, dim, dim, Math.sqrt(dim));
            }
            constant(name + "gain", 1, 1, sizes.heads(), 1, 1);
            if (startRidge > 0) {
                constant(name + "log_ridge", Math.log(startRidge), 1, sizes.heads(), 1, 1);
            }
            constant(name + "perceptron.norm", 1, dim);
            add(name + "widen", random, dim, WIDENING * dim, Math.sqrt(dim));
            add(name + "narrow", random, WIDENING * dim, dim, Math.sqrt(WIDENING * dim));
        }
        constant("norm", 1, dim);
        add("output", random, dim, sizes.outputs(), Math.sqrt(dim));
    }

    Map<String, NDArray> parameters() {
        return parameters;
    }

    Sizes sizes() {
        return sizes;
    }

    DataType type() {
        return type;
    }

    NDManager manager() {
        return manager;
    }

    /** An array of this model's type. */
    NDArray array(float[] values, long... dims) {
        return Arrays.of(manager, type, values, new Shape(dims));
    }

    /**
     * @param input (B,S,inputs)
     * @param from position of the first row
     * @return (B,S,outputs)
     */
    NDArray forward(NDArray input, int from, Attention attention) {
        long batch = input.getShape().get(0);
        long length = input.getShape().get(1);
        NDArray x = input.matMul(parameters.get("embedding")).add(parameters.get("positions").get(from + ":" + (from + length)));
        for (int layer = 0; layer < sizes.layers(); layer++) {
            String name = "layer" + layer + ".";
            NDArray h = normal(x).mul(parameters.get(name + "attention.norm"));
            NDArray gain = parameters.get(name + "gain");
            NDArray q = normal(heads(h.matMul(parameters.get(name + "q")), batch, length)).mul(gain);
            NDArray k = normal(heads(h.matMul(parameters.get(name + "k")), batch, length)).mul(gain);
            NDArray v = heads(h.matMul(parameters.get(name + "v")), batch, length);
            NDArray logRidge = parameters.get(name + "log_ridge");
            NDArray o = attention.attend(layer, q, k, v, logRidge == null ? null : logRidge.exp());
            x = x.add(o.transpose(0, 2, 1, 3).reshape(batch, length, sizes.dim()).matMul(parameters.get(name + "o")));
            NDArray wide = normal(x).mul(parameters.get(name + "perceptron.norm")).matMul(parameters.get(name + "widen"));
            x = x.add(Activation.gelu(wide).matMul(parameters.get(name + "narrow")));
        }
        return normal(x).mul(parameters.get("norm")).matMul(parameters.get("output"));
    }

    /** (B,S,H*D) as (B,H,S,D). */
    private NDArray heads(NDArray x, long batch, long length) {
        return x.reshape(batch, length, sizes.heads(), sizes.dim() / sizes.heads()).transpose(0, 2, 1, 3);
    }

    /** Rows of root mean square 1. */
    private static NDArray normal(NDArray x) {
        return x.div(x.mul(x).mean(new int[] {-1}, true).add(EPSILON).sqrt());
    }

    private void add(String name, RandomGenerator random, int rows, int columns, double divisor) {
        double[] values = new double[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextGaussian() / divisor;
        }
        parameter(name, values, new Shape(rows, columns));
    }

    private void constant(String name, double value, long... dims) {
        double[] values = new double[Math.toIntExact(new Shape(dims).size())];
        java.util.Arrays.fill(values, value);
        parameter(name, values, new Shape(dims));
    }

    private void parameter(String name, double[] values, Shape shape) {
        NDArray array = Arrays.of(manager, type, values, shape);
        array.setRequiresGradient(true);
        parameters.put(name, array);
    }

    /** Sines and cosines, from which a layer can find the position before; learned on from there. */
    private static double[] waves(int length, int dim) {
        double[] values = new double[length * dim];
        for (int i = 0; i < length; i++) {
            for (int a = 0; a < dim; a++) {
                double angle = i / Math.pow(100, (double) (a / 2 * 2) / dim);
                values[i * dim + a] = a % 2 == 0 ? Math.sin(angle) : Math.cos(angle);
            }
        }
        return values;
    }

    @Override
    public void close() {
        manager.close();
    }
}
