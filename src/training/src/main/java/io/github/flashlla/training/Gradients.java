package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;

/** PyTorch's autograd, past DJL's collector: that one frees the graph at its first use, and LLA needs a part of it per layer. */
final class Gradients {
    private Gradients() {}

    /**
     * Adds the gradients of a number to every array that it depends on.
     *
     * @param keepGraph whether another backward through the same graph follows
     */
    static void backward(NDArray number, boolean keepGraph) {
        try (NDArray one = number.onesLike()) {
            JniUtils.backward((PtNDArray) number, (PtNDArray) one, keepGraph, false);
        }
    }

    /** Runs work whose results need no gradients. */
    static void without(Runnable work) {
        boolean before = JniUtils.isGradMode();
        JniUtils.setGradMode(false);
        try {
            work.run();
        } finally {
            JniUtils.setGradMode(before);
        }
    }

    static void zero(NDArray array) {
        JniUtils.zeroGrad((PtNDArray) array);
    }

    static void oneThread() {
        JniUtils.setNumThreads(1);
        JniUtils.setGradMode(true);
    }
}
