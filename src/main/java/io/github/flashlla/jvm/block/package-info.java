/**
 * Forward and backward passes over a block of {@value io.github.flashlla.jvm.block.BlockLoops#ROWS} queries or keys.
 *
 * <p>All arithmetic that is worth vector registers is in {@link io.github.flashlla.jvm.block.BlockLoops}, once on the
 * Vector API and once in plain loops.
 *
 * <p>Layout of everything inside a block: one query per vector lane. A block's vectors are stored {@code [dim][row]} and
 * its tiles {@code [key][row]}, {@code ROWS} wide. Every per-query step (running max, total weight, the conjugate
 * gradients' step lengths, freezing of solved rows) is therefore lane-wise and needs no reduction across lanes, and keys
 * are read as scalars, straight from their row-major array.
 */
package io.github.flashlla.jvm.block;
