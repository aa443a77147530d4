package io.github.flashlla.jvm;

import io.github.flashlla.jvm.block.ScalarKernels;
import io.github.flashlla.jvm.block.TileKernels;
import io.github.flashlla.jvm.block.VectorKernels;
import io.github.flashlla.jvm.decode.DecodeKernels;
import io.github.flashlla.jvm.decode.DecodeScalarKernels;
import io.github.flashlla.jvm.decode.DecodeVectorKernels;

/**
 * The inner loops that a device computes with.
 *
 * @param block those of forward and backward passes
 * @param decode those of decoding
 */
record JvmLoops(TileKernels block, DecodeKernels decode) {

    /** The fastest loops that this JVM can run. */
    static JvmLoops fastest() {
        return hasVectorModule() ? vector() : scalar();
    }

    static boolean hasVectorModule() {
        return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    }

    /** On the Vector API, whose module must be present. */
    static JvmLoops vector() {
        return Vectorised.loops();
    }

    static JvmLoops scalar() {
        return new JvmLoops(new ScalarKernels(), new DecodeScalarKernels());
    }

    /** A class of its own, so that the JVM touches nothing of the module before the module is known to be there. */
    private static final class Vectorised {
        static JvmLoops loops() {
            return new JvmLoops(new VectorKernels(), new DecodeVectorKernels());
        }
    }

    @Override
    public String toString() {
        return block.description();
    }
}
