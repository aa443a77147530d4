package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Timing;
import io.github.flashlla.jvm.block.KeyValueHead;
import io.github.flashlla.jvm.block.SoftmaxBlock;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import java.util.Arrays;

/** Softmax attention in LLA's blocks, on its threads: what LLA's cost is held against. */
final class SoftmaxPlan implements LlaPlan {
    private final ExclusiveUse use;
    private final WorkerPool pool;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final int blocksPerHead;
    private final long workspaceBytes;
    private KeyValueHead[] keyValues;
    private SoftmaxBlock[] blocks;

    SoftmaxPlan(DeviceState device, WorkerPool pool, BlockLoops kernels, AttentionShape shape, LlaOptions options) {
        this.use = ExclusiveUse.ofPlan(device);
        this.pool = pool;
        this.shape = shape;
        this.options = options;
        this.blocksPerHead = Math.ceilDiv(shape.queryLength(), ROWS);
        int workers = (int) Math.min(pool.threads(), (long) shape.batch() * shape.heads() * blocksPerHead);
        int heads = Math.multiplyExact(shape.batch(), shape.kvHeads());
        this.workspaceBytes = heads * KeyValueHead.bytes(shape) + workers * SoftmaxBlock.bytes(shape, options);
        this.keyValues = KeyValueHead.allocate(shape, heads);
        this.blocks = new SoftmaxBlock[workers];
        Arrays.setAll(blocks, worker -> new SoftmaxBlock(kernels, shape, options));
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
        Checks.requireForward("jvm", shape, inputs, result);
        use.run(() -> runForward(inputs, result));
    }

    private void runForward(LlaInputs inputs, LlaResult result) {
        long start = System.nanoTime();
        pool.forEach(Math.min(pool.threads(), keyValues.length), keyValues.length, (worker, head) -> keyValues[(int) head].load(inputs, head));
        pool.forEach(blocks.length, (long) shape.batch() * shape.heads() * blocksPerHead, (worker, index) -> {
            long head = index / blocksPerHead;
            int i0 = (blocksPerHead - 1 - (int) (index % blocksPerHead)) * ROWS; // longest causal rows first
            blocks[worker].run(head, i0, Math.min(ROWS, shape.queryLength() - i0), keyValues[(int) (head / shape.group())], inputs, result);
        });
        result.setPairIterations(0);
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
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
        });
    }
}
