package io.github.flashlla.tornado.support;

import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.BackendSurvey;
import io.github.flashlla.tornadovm.TornadoConfig;
import io.github.flashlla.tornadovm.TornadoFlags;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** A JVM with TornadoVM and flags that no user's would have, to see what becomes of it. */
public final class TornadoChild {
    private static final int LIMIT_SECONDS = 600;

    private final Path folder;
    private final Backend backend;
    /** It lives for seconds, in which HotSpot's second compiler would take half of the processor's time and gain nothing. */
    private final List<String> flags = new ArrayList<>(List.of("-XX:TieredStopAtLevel=1"));
    private Path config;

    /** @param folder for its files */
    public TornadoChild(Path folder, Backend backend) {
        this.folder = folder;
        this.backend = backend;
    }

    /** Skips the test where that backend has no device: SPIR-V needs more of an OpenCL driver than that its library is there. */
    public TornadoChild needsDevice() {
        Discovery found = BackendSurvey.all();
        String reason = found.absences().stream().filter(absence -> absence.backend().equals(backend.id())).map(Absence::reason)
                .findFirst().orElse("no device of " + backend.id());
        Assumptions.assumeTrue(found.devices().stream().anyMatch(device -> device.name().startsWith(backend.id() + ":")), reason);
        return this;
    }

    /** TornadoVM's device that compiles to source and runs nothing. */
    public TornadoChild virtual(String type) throws IOException {
        Assumptions.assumeTrue(TornadoSdk.find().orElseThrow().has(backend), "the SDK was installed without " + backend.id());
        Path description = folder.resolve("device.json");
        Files.writeString(description, """
                {
                "deviceName" : "virtual",
                "doubleFPSupport" : true,
                "maxWorkItemSizes" : [1024, 1024, 64],
                "deviceAddressBits" : 64,
                "deviceType" : "CL_DEVICE_TYPE_%s",
                "deviceExtensions" : "cl_khr_int64_base_atomics",
                "availableProcessors" : 16
                }
                """.formatted(type));
        return flag("-Dtornado.virtual.device=True").flag("-Dtornado.device.desc=" + description);
    }

    public TornadoChild flag(String flag) {
        flags.add(flag);
        return this;
    }

    /** Device profiles in place of the product's. */
    public TornadoChild profiles(String devicesYaml) throws IOException {
        config = Files.createDirectories(folder.resolve("config"));
        Files.writeString(config.resolve("devices.yaml"), devicesYaml);
        return this;
    }

    /** All that it wrote. */
    public String run(Class<?> main, String... args) throws IOException {
        JavaCommand java = TornadoFlags.command(TornadoSdk.find().orElseThrow(), List.of(backend), -1).with(flags);
        if (config != null) {
            java = java.with(TornadoConfig.VARIABLE, config.toString());
        }
        try (ScratchFolder scratch = new ScratchFolder("test"); ChildJvm child = ChildJvm.start(java, scratch, main, List.of(args))) {
            boolean ended = child.awaitEnd(TimeUnit.SECONDS.toMillis(LIMIT_SECONDS));
            String said = String.join("\n", child.said());
            if (!ended) {
                throw new AssertionError("no end after " + LIMIT_SECONDS + " s of " + main.getSimpleName() + "\n" + said);
            }
            return said;
        }
    }
}
