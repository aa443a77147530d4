package io.github.flashlla.tornado.kernels;

/**
 * The work arrays that a forward variant wants beside those that every pass writes.
 *
 * @param centre whether it reads the centre of each head's keys, so that a task must compute it
 * @param packedHalves float16 elements for keys and values in the order that the kernel reads them
 * @param scratchFloats floats of global memory that work-groups compute in
 */
public record BufferWishes(boolean centre, long packedHalves, long scratchFloats) {

    /** Floats that the two take together. */
    public long floats() {
        return scratchFloats + packedHalves / 2;
    }
}
