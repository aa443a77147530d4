package io.github.flashlla.training;

/**
 * Sequences to learn from, row-major.
 *
 * @param input (size, length, inputs): one-hot tokens, or numbers
 * @param target (size, length, outputs): one-hot tokens, or numbers
 * @param weight (size, length): 1 where the target counts, else 0
 */
record Batch(int size, int length, float[] input, float[] target, float[] weight) {}
