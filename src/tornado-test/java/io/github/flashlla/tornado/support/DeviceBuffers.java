package io.github.flashlla.tornado.support;

import io.github.flashlla.tornado.device.BackendDevice;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Map;
import uk.ac.manchester.tornado.api.common.Access;

/**
 * Buffers of arrays on a device that no plan has given back, as TornadoVM counts them; its API does not say. Those of kernel contexts, some
 * hundred bytes each, which it never frees, do not count.
 */
public final class DeviceBuffers {
    private DeviceBuffers() {}

    public static int used(BackendDevice device) throws ReflectiveOperationException {
        Object context = device.device().getDeviceContext();
        Method provider = context.getClass().getMethod("getBufferProvider");
        provider.setAccessible(true);
        Object buffers = provider.invoke(context);
        Field used = buffers.getClass().getSuperclass().getDeclaredField("usedBuffers");
        used.setAccessible(true);
        int count = 0;
        for (Map.Entry<?, ?> list : ((Map<?, ?>) used.get(buffers)).entrySet()) {
            count += list.getKey() == Access.NONE ? 0 : ((List<?>) list.getValue()).size();
        }
        return count;
    }
}
