/**
 * Rows that float32 cannot carry, in float64 on the host: which they are, their answer, and how far the others can be trusted.
 * Every device's plans go through here, so that the same rule holds on all of them. See {@code docs/algorithms/accuracy.md}.
 */
package io.github.flashlla.precise;
