package io.github.flashlla.jvm;

import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.jvm.block.ScalarBlockLoops;
import io.github.flashlla.jvm.block.VectorBlockLoops;
import io.github.flashlla.jvm.decode.DecodeLoops;
import io.github.flashlla.jvm.decode.ScalarDecodeLoops;
import io.github.flashlla.jvm.decode.VectorDecodeLoops;
import io.github.flashlla.process.VectorModule;

/**
 * The inner loops that a device computes with.
 *
 * @param block those of forward and backward passes
 * @param decode those of decoding
 */
record JvmLoops(BlockLoops block, DecodeLoops decode) {

    /** The fastest loops that this JVM can run. */
    static JvmLoops fastest() {
        return hasVectorModule() ? vector() : scalar();
    }

    static boolean hasVectorModule() {
        return VectorModule.isPresent();
    }

    /** @throws IllegalStateException if this JVM has no Vector API */
    static JvmLoops vector() {
        if (!hasVectorModule()) {
            throw new IllegalStateException("start java with " + VectorModule.FLAG);
        }
        return Vectorised.loops();
    }

    static JvmLoops scalar() {
        return new JvmLoops(new ScalarBlockLoops(), new ScalarDecodeLoops());
    }

    /** A class of its own, so that the JVM touches nothing of the module before the module is known to be there. */
    private static final class Vectorised {
        static JvmLoops loops() {
            return new JvmLoops(new VectorBlockLoops(), new VectorDecodeLoops());
        }
    }

    @Override
    public String toString() {
        return block.description();
    }
}
