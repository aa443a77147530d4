package io.github.flashlla.combined;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LifecycleContract;

class CombinedLifecycleTest implements LifecycleContract {
    @Override
    public Device open() {
        return Devices.open("jvm+jvm");
    }
}
