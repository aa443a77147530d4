package io.github.flashlla.tornadovm;

/** What a kernel computes; a device's profile orders the kernels of each. */
public enum Pass {
    FORWARD, BACKWARD, DECODE,
    /** Softmax attention, forward: what LLA's cost is held against. */
    SOFTMAX
}
