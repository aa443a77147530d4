package io.github.flashlla.tornado;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.DecodeMoments;
import io.github.flashlla.reference.ReferenceKvCache;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/**
 * Decoding on one TornadoVM device, as a program of its own, because a device is chosen when the JVM starts.
 *
 * <pre>
 *   DecodeCheck opencl:0                                      ragged batches, appends and truncations against float64
 *   DecodeCheck opencl:0 B Hkv H D context float16 [steps]    the time of a step, with sampled heads against float64
 * </pre>
 *
 * Exit code 1 where an answer misses 1e-4.
 */
public final class DecodeCheck {
    private static final double BAR = 1e-4;

    private DecodeCheck() {}

    public static void main(String[] args) {
        Device device = Devices.open(args[0]);
        System.out.println(device.info());
        double worst = args.length == 1 ? ragged(device) : speed(device, args);
        System.out.printf(Locale.ROOT, "worst error %.1e: %s%n", worst, worst <= BAR ? "ok" : "WRONG");
        System.exit(worst <= BAR ? 0 : 1);
    }

    private static double ragged(Device device) {
        int[] lengths = {1, 0, 2, 16, 17, 65, 700};
        int[][] widths = {{64, 64, 2, 6}, {32, 48, 1, 1}, {17, 5, 2, 2}, {128, 128, 1, 2}, {256, 40, 1, 1}, {8, 8, 1, 3}};
        double worst = 0;
        for (DataType type : new DataType[] {DataType.FLOAT32, DataType.FLOAT16}) {
            for (int[] w : widths) {
                worst = Math.max(worst, ragged(device, w[3], lengths,
                        new KvCacheShape(lengths.length, w[2], 1000, w[0], w[1], type)));
            }
        }
        return worst;
    }

    private static double ragged(Device device, int heads, int[] lengths, KvCacheShape shape) {
        Random random = new Random(3);
        LlaOptions options = LlaOptions.defaults().withKeepState(true);
        double worst = 0;
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(heads, options);
                DecodePlan exact = reference.decodePlan(heads, options)) {
            for (int sequence = 0; sequence < lengths.length; sequence++) {
                Tensor k = gaussian(random, shape.kvHeads(), lengths[sequence], shape.headDim());
                Tensor v = gaussian(random, shape.kvHeads(), lengths[sequence], shape.valueDim());
                cache.append(sequence, k, v);
                reference.append(sequence, k, v);
            }
            LlaResult result = plan.newResult();
            LlaResult expected = exact.newResult();
            for (int step = 0; step < 4; step++) {
                Tensor q = gaussian(random, plan.shape().queryDims());
                plan.decode(q, result);
                exact.decode(q, expected);
                double error = Math.max(error(result.output(), expected.output()), error(result.x(), expected.x()) / 10);
                worst = Math.max(worst, error);
                System.out.printf(Locale.ROOT, "%s H=%d step %d: error %.1e, residual %.1e%n", shape, heads, step, error,
                        result.worstResidual());
                if (step == 2) {
                    cache.truncate(6, 300);
                    reference.truncate(6, 300);
                }
                int tokens = step == 1 ? 50 : 1; // more than is staged at once, and one
                Tensor k = gaussian(random, shape.batch(), shape.kvHeads(), tokens, shape.headDim());
                Tensor v = gaussian(random, shape.batch(), shape.kvHeads(), tokens, shape.valueDim());
                cache.append(k, v);
                reference.append(k, v);
            }
        }
        return worst;
    }

    private static double speed(Device device, String[] args) {
        int[] n = Arrays.stream(args, 1, 6).mapToInt(Integer::parseInt).toArray();
        int steps = args.length > 7 ? Integer.parseInt(args[7]) : 20;
        KvCacheShape shape = new KvCacheShape(n[0], n[1], n[4], n[3], n[3],
                DataType.valueOf(args[6].toUpperCase(Locale.ROOT)));
        int heads = n[2];
        Random random = new Random(1);
        try (KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(heads, LlaOptions.defaults())) {
            int chunk = Math.min(shape.capacity(), 4096);
            Tensor k = gaussian(random, shape.kvHeads(), chunk, shape.headDim()).as(shape.type());
            Tensor v = gaussian(random, shape.kvHeads(), chunk, shape.valueDim()).as(shape.type());
            for (int sequence = 0; sequence < shape.batch(); sequence++) {
                for (int left = shape.capacity(); left > 0; left -= chunk) {
                    int tokens = Math.min(left, chunk);
                    cache.append(sequence, first(k, tokens), first(v, tokens));
                }
            }
            LlaResult result = plan.newResult();
            Tensor q = gaussian(random, plan.shape().queryDims());
            plan.decode(q, result);
            System.out.printf(Locale.ROOT, "%s H=%d, first step %.0f ms, workspace %.1f MB%n", shape, heads,
                    result.timing().wallNanos() / 1e6, plan.workspaceBytes() / 1e6);
            double[] ms = new double[steps];
            for (int step = 0; step < steps; step++) {
                plan.decode(q, result);
                ms[step] = result.timing().wallNanos() / 1e6;
            }
            Arrays.sort(ms);
            System.out.printf(Locale.ROOT, "step: median %.3f ms, best %.3f ms; %.1f GB/s of k and v at the median%n",
                    ms[steps / 2], ms[0], cache.bytesInUse() / ms[steps / 2] / 1e6);
            double worst = 0;
            for (int row : new int[] {0, heads - 1, shape.batch() * heads - 1}) {
                worst = Math.max(worst, error(cache, plan, row, q, result.output()));
            }
            return worst;
        }
    }

    /** One head's output against float64. */
    private static double error(KvCache cache, DecodePlan plan, int row, Tensor q, Tensor output) {
        int heads = plan.shape().heads();
        int dim = plan.shape().headDim();
        int length = cache.length(row / heads);
        int kvHead = row % heads / plan.shape().group();
        Tensor k = cache.keys(row / heads);
        Tensor v = cache.values(row / heads);
        double[] query = values(q, row, dim);
        DecodeMoments moments = null;
        for (int token = 0; token < length; token++) {
            double[] key = values(k, (long) kvHead * length + token, dim);
            moments = moments == null ? new DecodeMoments(key, plan.shape().valueDim()) : moments;
            double score = 0;
            for (int d = 0; d < dim; d++) {
                score += query[d] * key[d];
            }
            moments.add(score / Math.sqrt(dim), key, values(v, (long) kvHead * length + token, plan.shape().valueDim()));
        }
        double[] expected = moments.solve(query, plan.options().ridge()).o();
        double[] actual = values(output, row, expected.length);
        double difference = 0;
        double norm = 0;
        for (int e = 0; e < expected.length; e++) {
            difference += (actual[e] - expected[e]) * (actual[e] - expected[e]);
            norm += expected[e] * expected[e];
        }
        return Math.sqrt(difference / norm);
    }

    private static double[] values(Tensor tensor, long row, int dim) {
        double[] values = new double[dim];
        Arrays.setAll(values, i -> tensor.get(row * dim + i));
        return values;
    }

    /** The first tokens of (Hkv,n,D). */
    private static Tensor first(Tensor tensor, int tokens) {
        if (tensor.dim(1) == tokens) {
            return tensor;
        }
        Tensor some = Tensor.allocate(tensor.type(), tensor.dim(0), tokens, tensor.dim(2));
        for (long head = 0; head < tensor.dim(0); head++) {
            for (long i = 0; i < tokens * tensor.dim(2); i++) {
                some.set(head * tokens * tensor.dim(2) + i, tensor.get(head * tensor.dim(1) * tensor.dim(2) + i));
            }
        }
        return some;
    }

    private static Tensor gaussian(Random random, long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    private static double error(Tensor a, Tensor b) {
        double difference = 0;
        double norm = 0;
        for (long i = 0; i < a.size(); i++) {
            difference += (a.get(i) - b.get(i)) * (a.get(i) - b.get(i));
            norm += b.get(i) * b.get(i);
        }
        return Math.sqrt(difference / norm);
    }
}
