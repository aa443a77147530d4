package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.decode.DecodeLoops;
import io.github.flashlla.jvm.decode.HeadGroupStep;
import io.github.flashlla.jvm.decode.PartialStep;
import io.github.flashlla.jvm.decode.SliceTeam;
import io.github.flashlla.jvm.decode.SliceWalk;
import io.github.flashlla.jvm.decode.TokenTiles;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.PartialDecode;
import java.util.Arrays;

/** Decoding over some of the keys: heads one after the other, each in slices on all threads. */
final class JvmPartialDecode implements PartialDecode {
    private static final int SLICES_PER_THREAD = 2;

    private final AbstractKvCache cache;
    private final WorkerPool pool;
    private final AttentionShape shape;
    private final SliceWalk[] walks;
    /** One for each sequence and key/value head: what the first round finds, the second needs. */
    private final PartialStep[] steps;

    JvmPartialDecode(AbstractKvCache cache, TokenTiles k, TokenTiles v, WorkerPool pool, DecodeLoops kernels, int heads, LlaOptions options) {
        this.cache = cache;
        this.pool = pool;
        this.shape = cache.shape().step(heads);
        this.walks = new SliceWalk[pool.threads()];
        Arrays.setAll(walks, worker -> new SliceWalk(k, v, kernels, shape.group()));
        this.steps = new PartialStep[shape.batch() * shape.kvHeads()];
        Arrays.setAll(steps, n -> new PartialStep(cache.shape(), shape.group(), options, slices()));
    }

    private int slices() {
        return SLICES_PER_THREAD * pool.threads();
    }

    @Override
    public void gather(Tensor q, Tensor ridge, int[] seen, Found found) {
        cache.exclusively(() -> onAllThreads(threads -> {
            for (int n = 0; n < steps.length; n++) {
                int sequence = n / shape.kvHeads();
                steps[n].gather(sequence, n % shape.kvHeads(), cache.length(sequence), seen[sequence], threads, q, ridge, found);
            }
        }));
    }

    @Override
    public void output(double[] x, double[] kbar, double[] o) {
        cache.exclusively(() -> onAllThreads(threads -> {
            for (PartialStep step : steps) {
                step.output(threads, x, kbar, o);
            }
        }));
    }

    private interface Passes {
        void run(HeadGroupStep.Slices threads);
    }

    private void onAllThreads(Passes passes) {
        SliceTeam team = new SliceTeam(slices());
        pool.forEach(pool.threads(), pool.threads(), (worker, index) -> {
            if (index > 0) {
                team.help(walks[worker]);
                return;
            }
            try {
                passes.run(job -> team.run(walks[worker], job));
            } finally {
                team.dismiss();
            }
        });
    }

    @Override
    public long workspaceBytes() {
        return Arrays.stream(walks).mapToLong(SliceWalk::bytes).sum() + Arrays.stream(steps).mapToLong(PartialStep::bytes).sum();
    }

    @Override
    public void close() {} // its memory is left to the garbage collector
}
