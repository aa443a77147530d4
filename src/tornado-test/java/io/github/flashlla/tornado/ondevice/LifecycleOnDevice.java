package io.github.flashlla.tornado.ondevice;

import io.github.flashlla.Device;
import io.github.flashlla.LifecycleContract;
import io.github.flashlla.tornado.support.TestDevice;

/** Plans and caches of one TornadoVM device that are closed, or that two threads use. */
public class LifecycleOnDevice implements LifecycleContract {
    @Override
    public Device open() {
        return TestDevice.open();
    }
}
