package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.PartPlan.Given;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Random;

/** The orders about memory, plans and speed; those about caches are in {@link CacheOrders}. */
final class Orders {
    private static final int TIMED_QUERIES = 1024;
    private static final int TIMED_HEADS = 4;
    private static final long SEED = 1;

    private Orders() {}

    /** Maps a file of the parent. */
    record OpenMemory(int memory, String file, long bytes, boolean writable) implements Order<Integer> {
        @Override
        public Integer run(PartState part) throws IOException {
            part.memories().put(memory, SharedMemory.open(Path.of(file), bytes, writable));
            return memory;
        }
    }

    record CloseMemory(int memory) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            SharedMemory known = part.memories().remove(memory);
            if (known != null) {
                known.close();
            }
            return memory;
        }
    }

    /** Answers with the workspace of each of {@code pieces}, which this part will compute. */
    record MakePlan(int plan, Layout layout, LlaOptions options, boolean softmax, int inputs, int outputs, int[] pieces)
            implements Order<long[]> {
        @Override
        public long[] run(PartState part) {
            Tensors tensors = new Tensors(layout, part.memories().get(inputs).segment(), part.memories().get(outputs).segment());
            PartPlan made = new PartPlan(part.device(), tensors, options, softmax);
            part.plans().put(plan, made);
            return made.prepare(pieces);
        }
    }

    record Forward(int plan, int piece, Given given) implements Order<Outcome> {
        @Override
        public Outcome run(PartState part) {
            return part.plans().get(plan).forward(piece, given);
        }

        @Override
        public boolean overlaps() {
            return true;
        }
    }

    record Backward(int plan, int piece, Given given, DataType gradient) implements Order<Outcome> {
        @Override
        public Outcome run(PartState part) {
            return part.plans().get(plan).backward(piece, given, gradient);
        }

        @Override
        public boolean overlaps() {
            return true;
        }
    }

    record ClosePlan(int plan) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            PartPlan known = part.plans().remove(plan);
            if (known != null) {
                known.close();
            }
            return plan;
        }
    }

    /** Ceilings as fma, copy and matrix rates; empty where the device has no such measurement. */
    record MeasureCeilings() implements Order<double[]> {
        @Override
        public double[] run(PartState part) {
            return part.device().measureCeilings().map(c -> new double[] {c.fmaFlopsPerSecond(), c.copyBytesPerSecond(),
                    c.matrixFlopsPerSecond()}).orElse(new double[0]);
        }
    }

    /** Seconds that a problem like this one takes, no larger than takes a moment. */
    record TakeTime(AttentionShape whole, LlaOptions options, boolean softmax) implements Order<Double> {
        @Override
        public Double run(PartState part) {
            int heads = Math.min(TIMED_HEADS, whole.batch() * whole.kvHeads());
            AttentionShape shape = new AttentionShape(1, heads * whole.group(), heads, Math.min(TIMED_QUERIES, whole.queryLength()),
                    Math.min(TIMED_QUERIES, whole.keyLength()), whole.headDim(), whole.valueDim());
            Random random = new Random(SEED);
            LlaInputs inputs = LlaInputs.of(normal(random, shape.queryDims()), normal(random, shape.keyDims()), normal(random, shape.valueDims()));
            LlaOptions forward = options.withKeepState(false);
            Device device = part.device();
            try (LlaPlan plan = softmax ? device.softmaxPlan(shape, forward) : device.plan(shape, forward)) {
                LlaResult result = plan.newResult();
                plan.forward(inputs, result); // compiles
                long start = System.nanoTime();
                plan.forward(inputs, result);
                return (System.nanoTime() - start) / 1e9;
            }
        }

        private static Tensor normal(Random random, long[] dims) {
            Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
            for (long i = 0; i < tensor.size(); i++) {
                tensor.set(i, random.nextGaussian());
            }
            return tensor;
        }
    }
}
