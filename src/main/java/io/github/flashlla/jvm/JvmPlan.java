package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.jvm.block.BlockWeights;
import io.github.flashlla.jvm.block.ForwardBlock;
import io.github.flashlla.jvm.block.KeyValueHead;
import io.github.flashlla.precise.FloatPlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.precise.KeySizes;
import io.github.flashlla.precise.SolveSizes;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.Supplier;

/** One shape on this JVM: float32 copies of keys and values, and scratch memory for each thread. */
final class JvmPlan implements FloatPlan {

    /** Kept weights may always take this much over all threads, and twice the bytes of q, k, v and o beyond it. */
    private static final long KEPT_WEIGHTS_BYTES = 64L << 20;

    private final ExclusiveUse use;
    private final WorkerPool pool;
    private final BlockLoops kernels;
    private final boolean mayKeepWeights;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final int blocksPerHead;
    private final int workers;
    private long workspaceBytes;
    private KeyValueHead[] keyValues;
    private ForwardBlock[] blocks;
    /** ||o_i|| of each query of the last run. */
    private final double[] outputNorms;
    private KeySizes keySizes;
    /** Of the last run; null where it kept no state. */
    private SolveSizes solveSizes;
    /** For {@link #solveSizes}; null until it is needed. */
    private SolveSizes solveRoom;
    private BackwardPass backward;

    JvmPlan(DeviceState device, WorkerPool pool, BlockLoops kernels, AttentionShape shape, LlaOptions options,
            boolean mayKeepWeights) {
        this.use = ExclusiveUse.ofPlan(device);
        this.pool = pool;
        this.kernels = kernels;
        this.mayKeepWeights = mayKeepWeights;
        this.shape = shape;
        this.options = options;
        this.blocksPerHead = Math.ceilDiv(shape.queryLength(), ROWS);
        this.workers = (int) Math.min(pool.threads(), blockCount());
        boolean keepWeights = keepsWeights(1, workers);
        int heads = Math.multiplyExact(shape.batch(), shape.kvHeads());
        this.outputNorms = new double[Math.toIntExact((long) shape.batch() * shape.heads() * shape.queryLength())];
        this.workspaceBytes = heads * KeyValueHead.bytes(shape) + workers * ForwardBlock.bytes(shape, options, keepWeights)
                + outputNorms.length * (long) Double.BYTES;
        if (KeyValueHead.bytes(shape) > 2L * Integer.MAX_VALUE) {
            throw new InvalidInputException("jvm: one head of " + shape + " takes more than 2^32 bytes; use fewer keys");
        }
        this.keyValues = orTellMemory(workspaceBytes, () -> KeyValueHead.allocate(shape, heads));
        this.blocks = orTellMemory(workspaceBytes, () -> {
            ForwardBlock[] made = new ForwardBlock[workers];
            Arrays.setAll(made, worker -> new ForwardBlock(kernels, shape, options, keepWeights));
            return made;
        });
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
    public double[] forward(LlaInputs inputs, LlaResult result, Supplier<KeptState> wanted) {
        long start = System.nanoTime();
        KeySizes[] sizes = new KeySizes[keyValues.length];
        pool.forEach(Math.min(pool.threads(), keyValues.length), keyValues.length,
                (worker, head) -> sizes[(int) head] = keyValues[(int) head].measure(inputs, head));
        keySizes = KeySizes.of(sizes);
        KeptState kept = wanted.get(); // the same processors would do both
        SolveSizes solved = kept == null ? null : solveRoom();
        solveSizes = solved;
        pool.forEach(workers, blockCount(), (worker, index) -> {
            // head by head, so that threads share one head's keys in cache; longest causal rows first within it
            long head = index / blocksPerHead;
            int block = blocksPerHead - 1 - (int) (index % blocksPerHead);
            int i0 = block * ROWS;
            int kvHead = (int) (head / shape.group());
            blocks[worker].run(head, i0, Math.min(ROWS, shape.queryLength() - i0), keyValues[kvHead],
                    inputs, result, kept, solved, outputNorms);
        });
        long pairIterations = 0;
        for (ForwardBlock block : blocks) {
            pairIterations += block.takePairIterations();
        }
        result.setPairIterations(pairIterations);
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
        return outputNorms;
    }

    private SolveSizes solveRoom() {
        if (solveRoom == null) {
            long bytes = 4L * outputNorms.length * Double.BYTES;
            solveRoom = orTellMemory(bytes, () -> SolveSizes.allocate(outputNorms.length));
            workspaceBytes += bytes;
        }
        return solveRoom;
    }

    @Override
    public KeySizes keySizes() {
        return keySizes;
    }

    @Override
    public SolveSizes solveSizes() {
        return solveSizes;
    }

    /** {@inheritDoc} The first call allocates the backward pass's buffers, which the plan then keeps. */
    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients) {
        long start = System.nanoTime();
        if (backward == null) {
            boolean keepWeights = keepsWeights(2, pool.threads());
            long bytes = BackwardPass.bytes(shape, options, pool.threads(), keepWeights);
            backward = orTellMemory(bytes, () -> new BackwardPass(pool, kernels, shape, options, keepWeights));
            workspaceBytes += bytes;
        }
        gradients.setPairIterations(backward.run(inputs, saved, gradOutput, without, gradients));
        gradients.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    @Override
    public ExclusiveUse use() {
        return use;
    }

    /** Whether {@code strips} floats per (row, key) of a block may be kept on each of {@code threads}. */
    private boolean keepsWeights(int strips, int threads) {
        long bytes = BlockWeights.bytes(shape, options, true) * strips;
        return mayKeepWeights && bytes <= Integer.MAX_VALUE
                && threads * bytes <= Math.max(KEPT_WEIGHTS_BYTES, 2 * shape.tensorBytes(Float.BYTES));
    }

    private <T> T orTellMemory(long bytes, Supplier<T> allocation) {
        try {
            return allocation.get();
        } catch (OutOfMemoryError e) {
            throw new DeviceException("jvm: " + shape + " needs " + Numbers.bytes(bytes) + " of heap, but java was started with "
                    + Numbers.bytes(Runtime.getRuntime().maxMemory()) + " at most; raise -Xmx", e);
        }
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void close() {
        use.close(() -> {
            keyValues = null;
            blocks = null;
            backward = null;
        });
    }
}
