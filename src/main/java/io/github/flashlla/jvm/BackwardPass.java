package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.block.BackwardHead;
import io.github.flashlla.jvm.block.BackwardKeyBlock;
import io.github.flashlla.jvm.block.BackwardQueryBlock;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.jvm.block.KeyValueHead;
import io.github.flashlla.jvm.block.TensorRows;
import java.util.Arrays;
import java.util.BitSet;

/**
 * The backward pass and its buffers. Heads are taken in waves of just enough key/value heads to keep every thread busy,
 * so the buffers are those of a wave; each wave is one pass over query blocks, then one over key blocks.
 */
final class BackwardPass {

    /** Query blocks per thread that a wave should have: idle time at its end is then about one part in this many. */
    private static final int BLOCKS_PER_THREAD = 32;

    private final WorkerPool pool;
    private final AttentionShape shape;
    private final float scale;
    private final int wave;
    private final int queryBlocks;
    private final int keyBlocks;
    private final KeyValueHead[] keyValues;
    private final BackwardHead[] heads;
    private final BackwardQueryBlock[] queryWorkers;
    private final BackwardKeyBlock[] keyWorkers;

    BackwardPass(WorkerPool pool, BlockLoops kernels, AttentionShape shape, LlaOptions options, boolean keepWeights) {
        this.pool = pool;
        this.shape = shape;
        this.scale = (float) options.scaleFor(shape.headDim());
        this.wave = wave(shape, pool.threads());
        this.queryBlocks = Math.ceilDiv(shape.queryLength(), ROWS);
        this.keyBlocks = Math.ceilDiv(shape.keyLength(), ROWS);
        this.keyValues = KeyValueHead.allocate(shape, wave);
        this.heads = new BackwardHead[wave * shape.group()];
        for (int head = 0; head < heads.length; head++) {
            heads[head] = new BackwardHead(shape);
        }
        this.queryWorkers = new BackwardQueryBlock[pool.threads()];
        this.keyWorkers = new BackwardKeyBlock[pool.threads()];
        for (int worker = 0; worker < pool.threads(); worker++) {
            queryWorkers[worker] = new BackwardQueryBlock(kernels, shape, options, keepWeights);
            keyWorkers[worker] = new BackwardKeyBlock(kernels, shape, options);
        }
    }

    static long bytes(AttentionShape shape, LlaOptions options, int threads, boolean keepWeights) {
        return wave(shape, threads) * (KeyValueHead.bytes(shape) + shape.group() * BackwardHead.bytes(shape))
                + threads * (BackwardQueryBlock.bytes(shape, options, keepWeights) + BackwardKeyBlock.bytes(shape));
    }

    private static int wave(AttentionShape shape, int threads) {
        long blocks = (long) Math.ceilDiv(shape.queryLength(), ROWS) * shape.group();
        long heads = (long) shape.batch() * shape.kvHeads();
        return (int) Math.min(heads, Math.ceilDiv((long) BLOCKS_PER_THREAD * threads, blocks));
    }

    /**
     * @param without queries whose dL/do is taken to be 0
     * @return iterations summed over the pairs they ran on
     */
    long run(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients) {
        int kvHeads = shape.batch() * shape.kvHeads();
        for (int first = 0; first < kvHeads; first += wave) {
            int count = Math.min(wave, kvHeads - first);
            load(first, count, inputs, saved, gradOutput, without);
            overQueries(first, count, inputs, saved, gradients);
            overKeys(first, count, gradients);
        }
        long pairIterations = 0;
        for (BackwardQueryBlock worker : queryWorkers) {
            pairIterations += worker.takePairIterations();
        }
        return pairIterations;
    }

    private void load(int first, int count, LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without) {
        int group = shape.group();
        pool.forEach(pool.threads(), count, (worker, index) -> keyValues[(int) index].load(inputs, first + index));
        pool.forEach(pool.threads(), (long) count * group, (worker, index) -> {
            BackwardHead own = heads[(int) index];
            long head = (long) first * group + index;
            TensorRows.loadHead(inputs.q(), head, shape.queryLength(), shape.headDim(), own.scaledQ, 0);
            for (int at = 0; at < own.scaledQ.length; at++) {
                own.scaledQ[at] *= scale;
            }
            TensorRows.loadHead(gradOutput, head, shape.queryLength(), shape.valueDim(), own.g, 0);
            int firstRow = Math.toIntExact(head * shape.queryLength());
            int width = BlockLoops.padded(shape.valueDim());
            for (int row = without.nextSetBit(firstRow); row >= 0 && row < firstRow + shape.queryLength(); row = without.nextSetBit(row + 1)) {
                Arrays.fill(own.g, (row - firstRow) * width, (row - firstRow + 1) * width, 0);
            }
            TensorRows.loadHead(saved.x(), head, shape.queryLength(), shape.headDim(), own.x, 0);
        });
    }

    private void overQueries(int first, int count, LlaInputs inputs, LlaResult saved, LlaGradients gradients) {
        int group = shape.group();
        pool.forEach(pool.threads(), (long) count * group * queryBlocks, (worker, index) -> {
            int slot = (int) (index / queryBlocks);
            int i0 = (queryBlocks - 1 - (int) (index % queryBlocks)) * ROWS; // longest causal rows first
            queryWorkers[worker].run((long) first * group + slot, i0, Math.min(ROWS, shape.queryLength() - i0), heads[slot],
                    keyValues[slot / group], inputs, saved, gradients);
        });
    }

    private void overKeys(int first, int count, LlaGradients gradients) {
        pool.forEach(pool.threads(), (long) count * keyBlocks, (worker, index) -> {
            int slot = (int) (index / keyBlocks);
            int j0 = (int) (index % keyBlocks) * ROWS; // keys that most queries see first
            keyWorkers[worker].run(first + slot, j0, Math.min(ROWS, shape.keyLength() - j0), keyValues[slot], heads,
                    slot * shape.group(), gradients);
        });
    }
}
