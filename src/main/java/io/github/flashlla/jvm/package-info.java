/**
 * The {@code jvm} device: blocked FlashLLA in float32 on this JVM's own threads.
 *
 * <p>{@link io.github.flashlla.jvm.JvmDevice} owns the threads, and a plan the buffers of one shape. The passes over a
 * block of queries are in {@link io.github.flashlla.jvm.block}, decoding in {@link io.github.flashlla.jvm.decode}.
 */
package io.github.flashlla.jvm;
