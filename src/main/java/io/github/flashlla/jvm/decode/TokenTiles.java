package io.github.flashlla.jvm.decode;

/** Keys or values of sequences, which {@link SliceWalk} reads a tile at a time. */
public sealed interface TokenTiles permits CacheTiles, TensorTiles {

    /** D for keys, Dv for values. */
    int dim();
}
