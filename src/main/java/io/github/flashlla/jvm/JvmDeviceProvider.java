package io.github.flashlla.jvm;

import com.google.auto.service.AutoService;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider;
import io.github.flashlla.process.VectorModule;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Finds the one device {@code jvm}, which every machine has. */
@AutoService(DeviceProvider.class)
public final class JvmDeviceProvider implements DeviceProvider {

    static final String NAME = "jvm";

    @Override
    public List<String> backends() {
        return List.of(NAME);
    }

    @Override
    public Discovery discover() {
        return Discovery.of(info(JvmLoops.fastest()));
    }

    @Override
    public Device open(String name) {
        JvmLoops loops = JvmLoops.fastest();
        return new JvmDevice(info(loops), loops, Runtime.getRuntime().availableProcessors(), true);
    }

    private static DeviceInfo info(JvmLoops loops) {
        String driver = "Java " + Runtime.version() + ", " + loops.block().description();
        if (!JvmLoops.hasVectorModule()) {
            driver += " (slow: start java with " + VectorModule.FLAG + ")";
        }
        return new DeviceInfo(NAME, NAME, DeviceInfo.Type.CPU, processorName(), System.getProperty("java.vm.vendor"), driver,
                memoryBytes(), -1, Runtime.getRuntime().availableProcessors(), List.of(DataType.FLOAT32),
                DeviceInfo.Trait.ON_HEAP);
    }

    private static long memoryBytes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean os
                ? os.getTotalMemorySize() : -1;
    }

    /** The processor's own name where the system tells it (Linux), else its architecture. */
    private static String processorName() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name")).findFirst()
                    .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse(System.getProperty("os.arch"));
        } catch (IOException | java.io.UncheckedIOException e) {
            return System.getProperty("os.arch");
        }
    }
}
