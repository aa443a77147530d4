package io.github.flashlla.examples;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import java.util.Random;

/**
 * Text generation without the text: one attention layer with random weights whose output, added to its input, is the next
 * token's vector. Shows the two halves of inference on any device that has a key/value cache:
 *
 * <ol>
 * <li>prefill: the prompt goes through forward and into the cache in chunks, every chunk seeing what came before it;
 * <li>decode: one token at a time, append its key and value, then attend with its query.
 * </ol>
 *
 * Run it with {@code java --add-exports=java.base/jdk.internal.module=ALL-UNNAMED -cp target/flashlla.jar:target/lib/*
 * io.github.flashlla.examples.GenerationLoop [device]}.
 */
public final class GenerationLoop {
    private static final int HEADS = 4;
    private static final int KV_HEADS = 2;
    private static final int DIM = 32;
    private static final int WIDTH = HEADS * DIM;

    private final Device device;
    private final LlaOptions options;
    private final float[][] queryWeights;
    private final float[][] keyWeights;
    private final float[][] valueWeights;

    /** The attention's inputs and outputs, position by position: q and o (1,H,S,D), k and v (1,Hkv,S,D). */
    public record Transcript(Tensor q, Tensor k, Tensor v, Tensor o) {
        Transcript(int length) {
            this(heads(HEADS, length), heads(KV_HEADS, length), heads(KV_HEADS, length), heads(HEADS, length));
        }
    }

    public GenerationLoop(Device device, LlaOptions options, long seed) {
        this.device = device;
        this.options = options.withCausal(true);
        Random random = new Random(seed);
        this.queryWeights = weights(random, HEADS * DIM);
        this.keyWeights = weights(random, KV_HEADS * DIM);
        this.valueWeights = weights(random, KV_HEADS * DIM);
    }

    /**
     * Feeds the prompt in chunks and generates {@code newTokens} more.
     *
     * @param prompt token vectors, each {@code H * D} = 128 long; at least one
     */
    public Transcript run(float[][] prompt, int newTokens, int chunk) {
        int length = prompt.length + newTokens;
        Transcript transcript = new Transcript(length);
        KvCacheShape shape = new KvCacheShape(1, KV_HEADS, length, DIM, DIM, DataType.FLOAT32);
        try (KvCache cache = device.kvCache(shape); DecodePlan plan = cache.decodePlan(HEADS, options)) {
            float[] token = prompt[0];
            for (int start = 0; start < prompt.length; start += chunk) {
                float[][] tokens = Arrays.copyOfRange(prompt, start, Math.min(prompt.length, start + chunk));
                Tensor q = project(queryWeights, HEADS, tokens);
                Tensor k = project(keyWeights, KV_HEADS, tokens);
                Tensor v = project(valueWeights, KV_HEADS, tokens);
                cache.append(k, v);
                // bottom-right causal: the chunk's queries see all earlier tokens and, among their own, those before them
                LlaResult result = device.forward(LlaInputs.of(q, cache.keys(0), cache.values(0)), options);
                record(transcript, start, q, k, v, result.output());
                token = next(tokens[tokens.length - 1], result.output());
            }
            LlaResult result = plan.newResult();
            for (int position = prompt.length; position < length; position++) {
                float[][] tokens = {token};
                Tensor q = project(queryWeights, HEADS, tokens);
                Tensor k = project(keyWeights, KV_HEADS, tokens);
                Tensor v = project(valueWeights, KV_HEADS, tokens);
                cache.append(k, v);
                plan.decode(q, result);
                record(transcript, position, q, k, v, result.output());
                token = next(token, result.output());
            }
        }
        return transcript;
    }

    /** Random token vectors to start from. */
    public static float[][] prompt(int length, long seed) {
        Random random = new Random(seed);
        float[][] prompt = new float[length][WIDTH];
        for (float[] token : prompt) {
            for (int i = 0; i < WIDTH; i++) {
                token[i] = (float) random.nextGaussian();
            }
        }
        return prompt;
    }

    /** The token's vector plus the last position's output, brought back to unit variance. */
    private static float[] next(float[] token, Tensor output) {
        int last = (int) output.dim(2) - 1;
        float[] sum = new float[WIDTH];
        double squares = 0;
        for (int h = 0; h < HEADS; h++) {
            for (int d = 0; d < DIM; d++) {
                int i = h * DIM + d;
                sum[i] = token[i] + (float) output.get((h * output.dim(2) + last) * DIM + d);
                squares += sum[i] * sum[i];
            }
        }
        float norm = (float) Math.sqrt(squares / WIDTH);
        for (int i = 0; i < WIDTH; i++) {
            sum[i] /= norm;
        }
        return sum;
    }

    private static float[][] weights(Random random, int rows) {
        float[][] weights = new float[rows][WIDTH];
        for (float[] row : weights) {
            for (int i = 0; i < WIDTH; i++) {
                row[i] = (float) (random.nextGaussian() / Math.sqrt(WIDTH));
            }
        }
        return weights;
    }

    /** Token vectors to (1,heads,n,D). */
    private static Tensor project(float[][] weights, int heads, float[][] tokens) {
        Tensor projected = Tensor.allocate(DataType.FLOAT32, 1, heads, tokens.length, DIM);
        for (int h = 0; h < heads; h++) {
            for (int n = 0; n < tokens.length; n++) {
                for (int d = 0; d < DIM; d++) {
                    float sum = 0;
                    for (int i = 0; i < WIDTH; i++) {
                        sum += weights[h * DIM + d][i] * tokens[n][i];
                    }
                    projected.set(((long) h * tokens.length + n) * DIM + d, sum);
                }
            }
        }
        return projected;
    }

    private static void record(Transcript transcript, int start, Tensor q, Tensor k, Tensor v, Tensor o) {
        copy(q, transcript.q, start);
        copy(k, transcript.k, start);
        copy(v, transcript.v, start);
        copy(o, transcript.o, start);
    }

    private static void copy(Tensor from, Tensor to, int start) {
        for (long h = 0; h < from.dim(1); h++) {
            for (long i = 0; i < from.dim(2) * DIM; i++) {
                to.set((h * to.dim(2) + start) * DIM + i, from.get(h * from.dim(2) * DIM + i));
            }
        }
    }

    private static Tensor heads(int heads, int length) {
        return Tensor.allocate(DataType.FLOAT32, 1, heads, length, DIM);
    }

    /** Generates 200 tokens and prints their distance from one forward pass over all positions. */
    public static void main(String[] args) {
        try (Device device = Devices.open(args.length > 0 ? args[0] : "jvm")) {
            LlaOptions options = LlaOptions.defaults();
            long start = System.nanoTime();
            Transcript t = new GenerationLoop(device, options, 1).run(prompt(100, 2), 200, 32);
            double seconds = (System.nanoTime() - start) * 1e-9;
            Tensor full = device.forward(LlaInputs.of(t.q, t.k, t.v), options).output();
            System.out.printf("%s: 100 + 200 tokens in %.2f s; largest difference from a full forward pass %.1e%n",
                    device.info().name(), seconds, largestDifference(t.o, full));
        }
    }

    /** Largest ||a - b|| / ||b|| of any position and head of two (1,H,S,D) tensors. */
    public static double largestDifference(Tensor a, Tensor b) {
        double largest = 0;
        int dim = (int) a.dim(3);
        for (long row = 0; row < a.size() / dim; row++) {
            double difference = 0;
            double norm = 0;
            for (int d = 0; d < dim; d++) {
                double x = a.get(row * dim + d);
                double y = b.get(row * dim + d);
                difference += (x - y) * (x - y);
                norm += y * y;
            }
            largest = Math.max(largest, Math.sqrt(difference / norm)); // Math.max keeps NaN
        }
        return largest;
    }
}
