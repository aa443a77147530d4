package io.github.flashlla.tornado.kernels;

/**
 * What a problem asks of a kernel beside shape and options.
 *
 * @param sequences whether sequences of different lengths are packed one after the other
 * @param strides whether a tensor lies in its array in other than row-major order
 */
public record Arrangement(boolean sequences, boolean strides) {
    public static final Arrangement USUAL = new Arrangement(false, false);
}
