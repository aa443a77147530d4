package io.github.flashlla.combined;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LifecycleContract;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** The parts are JVMs, which start in seconds: one device is open for all tests. */
class CombinedLifecycleTest implements LifecycleContract {
    private static Device shared;

    @BeforeAll
    static void openShared() {
        shared = Devices.open("jvm+jvm");
    }

    @AfterAll
    static void closeShared() {
        shared.close();
    }

    /** The shared one, which a test cannot close. */
    @Override
    public Device open() {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, (proxy, method, arguments) -> {
            try {
                return method.getName().equals("close") ? null : method.invoke(shared, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    @Override
    public Device openToClose() {
        return Devices.open("jvm+jvm");
    }
}
