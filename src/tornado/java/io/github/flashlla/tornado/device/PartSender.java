package io.github.flashlla.tornado.device;

import java.lang.reflect.Method;
import java.util.Set;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.memory.DeviceBufferState;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Sends an array to the device part by part, each as soon as it is full.
 *
 * <p>Built on a method of TornadoVM 5.2.0's contexts for CUDA and OpenCL, by its name: its API sends arrays as a whole.
 */
final class PartSender {
    /** An array is copied in parts of this many bytes: long enough for the bus, short enough for the caches. */
    static final int PART_BYTES = 1 << 22;
    private static final Set<String> BACKENDS = Set.of("cuda", "opencl");

    private final Object context;
    private final Method write;

    private PartSender(Object context, Method write) {
        this.context = context;
        this.write = write;
    }

    /** Null where the method is not there. */
    static PartSender of(TornadoDevice device, String backend) {
        if (!BACKENDS.contains(backend)) {
            return null;
        }
        try {
            Object context = device.getDeviceContext();
            Method write = context.getClass().getMethod("enqueueWriteBuffer", long.class, long.class, long.class, long.class, long.class, long.class,
                    int[].class);
            write.setAccessible(true);
            return new PartSender(context, write);
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }

    static int elementBytes(TornadoNativeArray array) {
        return (int) ((array.getNumBytesOfSegmentWithHeader() - TornadoNativeArray.ARRAY_HEADER) / array.getSize());
    }

    /** As TornadoVM sends an array before each run, which nothing has to wait for: kernels come behind in the same queue. */
    void send(long plan, TornadoNativeArray array, DeviceBufferState state, Transfers.Filling filling) throws ReflectiveOperationException {
        state.setContents(true);
        long buffer = state.getXPUBuffer().toBuffer();
        long begin = state.getXPUBuffer().getBufferOffset();
        long address = array.getSegmentWithHeader().address();
        int elementBytes = elementBytes(array);
        int each = PART_BYTES / elementBytes;
        long sent = 0; // the header goes with the first part
        for (long from = 0; from < array.getSize(); from += each) {
            int to = (int) Math.min(array.getSize(), from + each);
            filling.await(to);
            long end = TornadoNativeArray.ARRAY_HEADER + (long) to * elementBytes;
            write.invoke(context, plan, buffer, begin + sent, end - sent, address, sent, null);
            sent = end;
        }
    }
}
