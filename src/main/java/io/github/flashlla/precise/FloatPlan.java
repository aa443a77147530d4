package io.github.flashlla.precise;

import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.ExclusiveUse;
import java.util.BitSet;
import java.util.function.Supplier;

/**
 * A device's own float32 plan: what {@link PrecisePlan} needs of it. Shapes, ridges, memory, threads and whether it is open have been checked
 * when it is called.
 */
public interface FloatPlan extends LlaPlan {

    /**
     * The forward pass beside what the host has to find out about its inputs.
     *
     * @param kept tells where kbar and x go, null where nobody needs them. Called once, on any thread: a plan whose device computes
     *     elsewhere has it called meanwhile. What it throws ends the run, whatever became of it on the device.
     * @return ||o_i|| of each query, valid until the next run; null where the plan did not come by them as it wrote o
     */
    double[] forward(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept);

    /** The same for inputs whose k and v are those of this plan's last run, unchanged: a plan need not read them again. */
    default double[] forwardQueries(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
        return forward(inputs, result, kept);
    }

    /**
     * Asked by {@code kept} of {@link #forward(LlaInputs, LlaResult, Supplier)}: sizes of the run's k and v where the plan came by them as it
     * read these; null where the host has to look.
     */
    default KeySizes keySizes() {
        return null;
    }

    /** What the last forward run's solves came to, where kbar and x were wanted and the plan came by it; otherwise null. */
    default SolveSizes solveSizes() {
        return null;
    }

    /**
     * {@link #backward(LlaInputs, LlaResult, Tensor, LlaGradients)} as if {@code gradOutput} were 0 for some queries, which then add nothing.
     *
     * @param without these queries, numbered as in (B,H,Sq)
     */
    void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients);

    /**
     * The same beside a look at {@code gradOutput}.
     *
     * @param look called once, on any thread: a plan whose device computes elsewhere has it called meanwhile. What it throws ends the run,
     *     whatever became of it on the device.
     */
    default void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients, Runnable look) {
        look.run();
        backward(inputs, saved, gradOutput, without, gradients);
    }

    @Override
    default void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        backward(inputs, saved, gradOutput, new BitSet(), gradients);
    }

    /** Whether what {@link #backward} has just left is finite; a plan that has looked already need not look again. */
    default boolean finite(LlaGradients gradients) {
        return Magnitude.allFinite(gradients);
    }

    @Override
    default void forward(LlaInputs inputs, LlaResult result) {
        forward(inputs, result, () -> KeptState.of(result));
    }

    /** What keeps other threads out, for as long as the whole of a run takes. */
    ExclusiveUse use();
}
