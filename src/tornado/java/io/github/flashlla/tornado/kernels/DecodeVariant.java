package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornadovm.Pass;
import java.util.Optional;

/** A variant of decoding. The options' precision is that of the cache's elements on the device. */
public interface DecodeVariant extends KernelVariant {

    @Override
    default Pass pass() {
        return Pass.DECODE;
    }

    /** Below it, rounding of a key's distance from the mean counts for more than the covariance form leaves of it. */
    double SMALL_RIDGE = 0.02;

    DecodeMethod method();

    /** Whether it may leave a query unsolved, and says so: a plan then does the step again with its next variant. */
    default boolean mayLeaveUnsolved() {
        return method() == DecodeMethod.MATRIX_FREE;
    }

    /** Whether plans whose choice it is decode such shapes with it from the start, and try no conjugate gradients, since it is faster. */
    default boolean leads(AttentionShape shape) {
        return false;
    }

    /**
     * Why a plan does not start a step with a variant that {@link #mayLeaveUnsolved}, if it has another; empty where it does.
     *
     * @param leastRidge of the step's queries
     * @param longest context
     */
    static Optional<String> whyCovariance(double leastRidge, int longest, int headDim) {
        return KernelVariant.unless(leastRidge >= SMALL_RIDGE, "ridges below " + SMALL_RIDGE + " go to the covariance form")
                .or(() -> KernelVariant.unless(longest >= headDim, "contexts shorter than D go to the covariance form"));
    }

    /** Its arrays and tasks for one plan. */
    DecodeTasks tasks(VariantDevice device, CacheArrays cache, AttentionShape shape, LlaOptions options, DecodeArrays io);
}
