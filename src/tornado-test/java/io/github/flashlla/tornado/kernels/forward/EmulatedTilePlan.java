package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.precise.FloatPlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.kernels.backward.TileBackwardProblem;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import java.util.BitSet;
import java.util.function.Supplier;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The tile kernels as a plan, run by the JVM: what a CUDA device's plan computes, without one. */
final class EmulatedTilePlan implements FloatPlan {
    private static final Timing NONE = new Timing(0, 0, 0, 0, 0);

    private final AttentionShape shape;
    private final LlaOptions options;
    private final ExclusiveUse use = ExclusiveUse.ofPlan(new DeviceState("emulated"));
    private TileProblem last;
    private boolean warpGroups;

    EmulatedTilePlan(AttentionShape shape, LlaOptions options) {
        this.shape = shape;
        this.options = options;
    }

    /** Products of four warps together in forward. */
    EmulatedTilePlan byWarpGroups() {
        warpGroups = true;
        return this;
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
        KeptState kept = wanted.get();
        TileProblem p = new TileProblem(shape.heads(), shape.group(), shape.queryLength(), shape.keyLength(), shape.headDim(), shape.valueDim(),
                options.causal(), (float) options.scaleFor(shape.headDim()), (float) options.tolerance(), options.maxIterations());
        load(inputs.q(), p.q);
        load(inputs.k(), p.k);
        load(inputs.v(), p.v);
        fillRidge(inputs, p.ridge);
        if (warpGroups) {
            p.byWarpGroups();
        }
        p.runOnJvm();
        store(p.o, result.output());
        store(p.lse, result.logSumExp());
        if (kept != null) {
            store(p.kbar, kept.kbar());
            store(p.x, kept.x());
        }
        for (int row = 0; row < result.residual().length; row++) {
            result.iterations()[row] = (int) p.stats.get(2 * row);
            result.residual()[row] = p.stats.get(2 * row + 1);
        }
        result.setTiming(NONE);
        last = p;
        return null;
    }

    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients) {
        TileBackwardProblem p = new TileBackwardProblem(shape.heads(), shape.group(), shape.queryLength(), shape.keyLength(), shape.headDim(),
                shape.valueDim(), options.causal(), (float) options.scaleFor(shape.headDim()), (float) options.tolerance(),
                options.maxIterations());
        load(inputs.q(), p.q);
        load(inputs.k(), p.k);
        load(inputs.v(), p.v);
        load(gradOutput, p.g);
        FloatArrays.clearRows(p.g, shape.valueDim(), without, 0, p.g.getSize());
        fillRidge(inputs, p.ridge);
        copy(last.lse, p.lse);
        copy(last.kbar, p.kbar);
        copy(last.x, p.x);
        p.runOnJvm();
        store(p.dq, gradients.dq());
        store(p.dk, gradients.dk());
        store(p.dv, gradients.dv());
        store(p.dridge, gradients.dridge());
        for (int row = 0; row < gradients.residual().length; row++) {
            gradients.iterations()[row] = (int) p.rows.get(row * BackwardRow.ROW_SCALARS + BackwardRow.ITERATIONS);
            gradients.residual()[row] = p.rows.get(row * BackwardRow.ROW_SCALARS + BackwardRow.RESIDUAL);
        }
        gradients.setTiming(NONE);
    }

    private void fillRidge(LlaInputs inputs, FloatArray to) {
        to.init((float) options.ridge());
        if (inputs.ridge() != null) {
            load(inputs.ridge(), to);
        }
    }

    private static void load(Tensor from, FloatArray to) {
        for (int i = 0; i < to.getSize(); i++) {
            to.set(i, (float) from.get(i));
        }
    }

    private static void copy(FloatArray from, FloatArray to) {
        for (int i = 0; i < to.getSize(); i++) {
            to.set(i, from.get(i));
        }
    }

    private static void store(FloatArray from, Tensor to) {
        for (int i = 0; i < from.getSize(); i++) {
            to.set(i, from.get(i));
        }
    }

    @Override
    public ExclusiveUse use() {
        return use;
    }

    @Override
    public long workspaceBytes() {
        return 0;
    }

    @Override
    public void close() {
        last = null;
    }
}
