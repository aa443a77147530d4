/**
 * The {@code jvm} device: blocked FlashLLA in float32 on this JVM's own threads.
 *
 * <p>{@link io.github.flashlla.jvm.JvmDevice} owns the threads, a plan the buffers of one shape, and a block the three
 * passes for {@value io.github.flashlla.jvm.TileKernels#ROWS} queries. All arithmetic that is worth vector registers is
 * in {@link io.github.flashlla.jvm.TileKernels}, once on the Vector API and once in plain loops.
 *
 * <p>Layout of everything inside a block: one query per vector lane. A block's vectors are stored {@code [dim][row]} and
 * its tiles {@code [key][row]}, {@code ROWS} wide, so that every per-query step (running max, total weight, the conjugate
 * gradients' step lengths, freezing of solved rows) is lane-wise and needs no reduction across lanes, and keys are read as
 * scalars, straight from their row-major array.
 */
package io.github.flashlla.jvm;
