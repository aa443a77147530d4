package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import java.util.stream.IntStream;

/**
 * Local Linear Attention as one writes it first: the weights and the relative products of all queries and keys as matrices,
 * (B,H,Sq,Sk) each, in plain loops. The yardstick of the memory profile; nothing else uses it.
 */
final class NaivePlan implements LlaPlan {
    private final AttentionShape shape;
    private final LlaOptions options;
    private float[][] weights;
    private float[][] relative;

    NaivePlan(AttentionShape shape, LlaOptions options) {
        this.shape = shape;
        this.options = options;
        int rows = Math.toIntExact(shape.rows());
        this.weights = new float[rows][shape.keyLength()];
        this.relative = new float[rows][shape.keyLength()];
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        long start = System.nanoTime();
        long pairIterations = 0;
        for (int head = 0; head < shape.batch() * shape.heads(); head++) {
            int kvHead = head / shape.heads() * shape.kvHeads() + head % shape.heads() / shape.group();
            float[] k = slice(inputs.k(), kvHead, shape.headDim());
            float[] v = slice(inputs.v(), kvHead, shape.valueDim());
            int h = head;
            pairIterations += IntStream.range(0, shape.queryLength()).parallel()
                    .mapToLong(i -> row(h, i, k, v, inputs, result)).sum();
        }
        result.setPairIterations(pairIterations);
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private float[] slice(Tensor tensor, int kvHead, int dim) {
        float[] values = new float[shape.keyLength() * dim];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) tensor.get((long) kvHead * values.length + i);
        }
        return values;
    }

    /** Row i of the matrices of one head; returns its iterations times the keys it sees. */
    private long row(int head, int i, float[] k, float[] v, LlaInputs inputs, LlaResult result) {
        int dim = shape.headDim();
        int visible = shape.visibleKeys(i, options.causal());
        long row = (long) head * shape.queryLength() + i;
        float[] p = weights[(int) row];
        float[] a = relative[(int) row];
        float[] q = new float[dim];
        for (int d = 0; d < dim; d++) {
            q[d] = (float) inputs.q().get(row * dim + d);
        }
        float ridge = (float) (inputs.ridge() == null ? options.ridge() : inputs.ridge().get(row));
        float scale = (float) options.scaleFor(dim);

        float max = Float.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            p[j] = scale * dot(q, k, j * dim);
            max = Math.max(max, p[j]);
        }
        double total = 0;
        for (int j = 0; j < visible; j++) {
            p[j] = (float) Math.exp(p[j] - max);
            total += p[j];
        }
        float[] kbar = new float[dim];
        for (int j = 0; j < visible; j++) {
            p[j] /= (float) total;
            addScaled(kbar, p[j], k, j * dim);
        }

        float[] x = new float[dim];
        float[] r = new float[dim];
        for (int d = 0; d < dim; d++) {
            r[d] = visible == 0 ? 0 : kbar[d] - q[d];
        }
        float[] y = r.clone();
        double bb = dot(r, r, 0);
        double rr = bb;
        int iterations = 0;
        while (rr > options.tolerance() * options.tolerance() * bb && iterations < options.maxIterations()) {
            iterations++;
            relativeProducts(y, kbar, k, a, visible);
            float[] ay = new float[dim];
            addScaled(ay, ridge, y, 0);
            for (int j = 0; j < visible; j++) {
                addScaled(ay, p[j] * a[j], k, j * dim);
            }
            float step = (float) (rr / dot(y, ay, 0));
            addScaled(x, step, y, 0);
            addScaled(r, -step, ay, 0);
            double next = dot(r, r, 0);
            for (int d = 0; d < dim; d++) {
                y[d] = r[d] + (float) (next / rr) * y[d];
            }
            rr = next;
        }

        relativeProducts(x, kbar, k, a, visible);
        float[] o = new float[shape.valueDim()];
        for (int j = 0; j < visible; j++) {
            addScaled(o, p[j] * (1 - a[j]), v, j * o.length);
        }
        for (int e = 0; e < o.length; e++) {
            result.output().set(row * o.length + e, o[e]);
        }
        result.logSumExp().set(row, visible == 0 ? Double.NEGATIVE_INFINITY : max + Math.log(total));
        result.iterations()[(int) row] = iterations;
        result.residual()[(int) row] = bb > 0 ? (float) Math.sqrt(rr / bb) : 0;
        return (long) iterations * visible;
    }

    /** a_j = (k_j - kbar) . y */
    private static void relativeProducts(float[] y, float[] kbar, float[] k, float[] a, int count) {
        float shift = dot(y, kbar, 0);
        for (int j = 0; j < count; j++) {
            a[j] = dot(y, k, j * y.length) - shift;
        }
    }

    private static float dot(float[] a, float[] b, int at) {
        float sum = 0;
        for (int d = 0; d < a.length; d++) {
            sum += a[d] * b[at + d];
        }
        return sum;
    }

    private static void addScaled(float[] sum, float factor, float[] values, int at) {
        for (int d = 0; d < sum.length; d++) {
            sum[d] += factor * values[at + d];
        }
    }

    @Override
    public long workspaceBytes() {
        return 2L * shape.batch() * shape.heads() * shape.queryLength() * shape.keyLength() * Float.BYTES;
    }

    @Override
    public void close() {
        weights = null;
        relative = null;
    }
}
