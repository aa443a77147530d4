package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.TileKernels.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;

/** One shape on this JVM: float32 copies of keys and values, and scratch memory for each thread. */
final class JvmPlan implements LlaPlan {

    /** Kept weights may always take this much over all threads, and twice the bytes of q, k, v and o beyond it. */
    private static final long KEPT_WEIGHTS_BYTES = 64L << 20;

    private final WorkerPool pool;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final int blocksPerHead;
    private final int workers;
    private final long workspaceBytes;
    private float[][] keys;
    private float[][] values;
    private ForwardBlock[] blocks;

    JvmPlan(WorkerPool pool, TileKernels kernels, AttentionShape shape, LlaOptions options) {
        this.pool = pool;
        this.shape = shape;
        this.options = options;
        this.blocksPerHead = Math.ceilDiv(shape.queryLength(), ROWS);
        this.workers = (int) Math.min(pool.threads(), blockCount());
        long keptBytes = BlockWeights.bytes(shape.keyLength(), true);
        boolean keepWeights = keptBytes <= Integer.MAX_VALUE
                && workers * keptBytes <= Math.max(KEPT_WEIGHTS_BYTES, 2 * shape.tensorBytes(Float.BYTES));
        long keyFloats = (long) TileKernels.padded(shape.keyLength()) * TileKernels.padded(shape.headDim());
        long valueFloats = (long) TileKernels.padded(shape.keyLength()) * TileKernels.padded(shape.valueDim());
        int heads = Math.multiplyExact(shape.batch(), shape.kvHeads());
        this.workspaceBytes = heads * (keyFloats + valueFloats) * Float.BYTES
                + workers * ForwardBlock.bytes(shape, options, keepWeights);
        if (Math.max(keyFloats, valueFloats) > Integer.MAX_VALUE - 8) {
            throw new InvalidInputException("jvm: the keys or values of one head of " + shape
                    + " exceed 2^31 elements; use fewer keys");
        }
        try {
            keys = new float[heads][(int) keyFloats];
            values = new float[heads][(int) valueFloats];
            blocks = new ForwardBlock[workers];
            for (int worker = 0; worker < workers; worker++) {
                blocks[worker] = new ForwardBlock(kernels, shape, options, keepWeights);
            }
        } catch (OutOfMemoryError e) {
            close();
            throw new DeviceException("jvm: " + shape + " needs " + workspaceBytes + " bytes of heap, but java was started with "
                    + Runtime.getRuntime().maxMemory() + "; raise -Xmx", e);
        }
    }

    private long blockCount() {
        return (long) shape.batch() * shape.heads() * blocksPerHead;
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
        requireOpen();
        requireShape("the inputs", inputs.shape());
        requireShape("the result", result.shape());
        long start = System.nanoTime();
        load(inputs.k(), shape.headDim(), keys);
        load(inputs.v(), shape.valueDim(), values);
        pool.forEach(workers, blockCount(), (worker, index) -> {
            // head by head, so that threads share one head's keys in cache; longest causal rows first within it
            long head = index / blocksPerHead;
            int block = blocksPerHead - 1 - (int) (index % blocksPerHead);
            int i0 = block * ROWS;
            int kvHead = (int) (head / shape.group());
            blocks[worker].run(head, i0, Math.min(ROWS, shape.queryLength() - i0), keys[kvHead], values[kvHead],
                    inputs, result);
        });
        long pairIterations = 0;
        for (ForwardBlock block : blocks) {
            pairIterations += block.takePairIterations();
        }
        result.setPairIterations(pairIterations);
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private void load(Tensor tensor, int dim, float[][] heads) {
        pool.forEach(Math.min(pool.threads(), heads.length), heads.length, (worker, head) ->
                TensorRows.loadPadded(tensor, head * shape.keyLength() * dim, shape.keyLength(), dim, heads[(int) head],
                        TileKernels.padded(dim)));
    }

    private void requireShape(String what, AttentionShape given) {
        if (!given.equals(shape)) {
            throw new InvalidInputException("jvm: this plan is for " + shape + ", but " + what + " have " + given);
        }
    }

    private void requireOpen() {
        if (keys == null) {
            throw new IllegalStateException("jvm: this plan is closed; make a new one from its device");
        }
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void close() {
        keys = null;
        values = null;
        blocks = null;
    }
}
