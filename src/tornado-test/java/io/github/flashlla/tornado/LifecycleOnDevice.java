package io.github.flashlla.tornado;

import io.github.flashlla.Device;
import io.github.flashlla.LifecycleContract;

/** Plans and caches of one TornadoVM device that are closed, or that two threads use. */
class LifecycleOnDevice implements LifecycleContract {
    @Override
    public Device open() {
        return TestDevice.open();
    }
}
