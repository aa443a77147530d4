package io.github.flashlla.bench;

import com.google.auto.service.AutoService;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import java.util.List;

/**
 * Devices that compute on jvm, until a problem of {@value #FATAL_LENGTH} queries shows their fault: what a driver can do
 * to a benchmark. There only in processes started with {@code -Dflashlla.test.faulty=true}.
 */
@AutoService(DeviceProvider.class)
public final class FaultyDeviceProvider implements DeviceProvider {
    static final String PROPERTY = "flashlla.test.faulty";
    /** System property: the file by which a lateborn device's processes know that they are not the first. */
    static final String MARK = "flashlla.test.mark";
    static final int FATAL_LENGTH = 48;
    static final List<String> FAULTS = List.of("crash", "hang", "wrong", "nan", "fail", "unopenable", "late", "deadborn", "lateborn");

    static DeviceInfo info(String fault) {
        return new DeviceInfo("faulty:" + fault, "faulty", DeviceInfo.Type.ACCELERATOR, "none", "none", fault, -1, -1,
                -1, List.of());
    }

    @Override
    public List<String> backends() {
        return List.of("faulty");
    }

    @Override
    public Discovery discover() {
        return Boolean.getBoolean(PROPERTY)
                ? Discovery.of(FAULTS.stream().map(FaultyDeviceProvider::info).toArray(DeviceInfo[]::new))
                : Discovery.of();
    }

    @Override
    public Device open(String name) {
        String fault = name.substring(name.indexOf(':') + 1);
        if (fault.equals("unopenable")) {
            throw new DeviceException("the driver is older than its library");
        }
        if (fault.equals("deadborn") || fault.equals("lateborn") && isFirst()) {
            System.err.println("driver: no");
            Runtime.getRuntime().halt(78);
        }
        return new FaultyDevice(fault, Devices.open("jvm"));
    }

    /** Whether no process before this one opened the device. */
    private static boolean isFirst() {
        try {
            return new java.io.File(System.getProperty(MARK)).createNewFile();
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private record FaultyDevice(String fault, Device jvm) implements Device {
        @Override
        public DeviceInfo info() {
            return FaultyDeviceProvider.info(fault);
        }

        @Override
        public LlaPlan plan(AttentionShape shape, LlaOptions options) {
            return new FaultyPlan(fault, jvm.plan(shape, options));
        }

        @Override
        public void close() {
            jvm.close();
        }
    }

    private static final class FaultyPlan implements LlaPlan {
        private final String fault;
        private final LlaPlan jvm;
        private int runs;

        FaultyPlan(String fault, LlaPlan jvm) {
            this.fault = fault;
            this.jvm = jvm;
        }

        @Override
        public AttentionShape shape() {
            return jvm.shape();
        }

        @Override
        public LlaOptions options() {
            return jvm.options();
        }

        @Override
        public void forward(LlaInputs inputs, LlaResult result) {
            runs++;
            if (shape().queryLength() != FATAL_LENGTH) {
                jvm.forward(inputs, result);
                return;
            }
            switch (fault) {
                case "crash" -> {
                    System.err.println("driver: lost the device");
                    Runtime.getRuntime().halt(77);
                }
                case "hang" -> hang();
                case "fail" -> throw new DeviceException("launch failed with error -5");
                case "nan" -> { } // returns at once, having written nothing
                case "wrong" -> {
                    jvm.forward(inputs, result);
                    result.output().set(0, result.output().get(0) + 10);
                }
                case "late" -> {
                    if (runs < 3) {
                        jvm.forward(inputs, result); // right while it is watched, then nothing at all
                    }
                }
                case "lateborn" -> jvm.forward(inputs, result);
                default -> throw new IllegalStateException(fault);
            }
        }

        @Override
        public long workspaceBytes() {
            return jvm.workspaceBytes();
        }

        @Override
        public void close() {
            jvm.close();
        }

        private static void hang() {
            try {
                Thread.sleep(600_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
