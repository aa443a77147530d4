package io.github.flashlla;

import org.junit.jupiter.api.Nested;

/** The devices that need nothing but Java; {@code LifecycleOnDevice} has the others. */
class LifecycleTest {

    @Nested
    class Jvm implements LifecycleContract {
        @Override
        public Device open() {
            return Devices.open("jvm");
        }
    }

    @Nested
    class Reference implements LifecycleContract {
        @Override
        public Device open() {
            return Devices.open("reference");
        }
    }
}
