package io.github.flashlla.jvm;

/** Devices of the tests. */
final class JvmDevices {
    private JvmDevices() {}

    static JvmDevice open(JvmLoops loops, int threads, boolean mayKeepWeights) {
        return new JvmDevice(new JvmDeviceProvider().discover().devices().getFirst(), loops, threads, mayKeepWeights);
    }

    static JvmDevice open(JvmLoops loops) {
        return open(loops, 2, true);
    }
}
