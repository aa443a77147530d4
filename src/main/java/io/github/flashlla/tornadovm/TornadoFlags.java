package io.github.flashlla.tornadovm;

import io.github.flashlla.DeviceException;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.process.VectorModule;
import java.io.File;
import java.io.IOException;
import java.lang.module.ModuleFinder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Flags of a JVM that runs TornadoVM with some backends only.
 *
 * <p>The SDK's own argfile gives the module exports and the implementation classes, which change with its version. Its
 * paths and its list of modules do not come from there: the installer writes absolute paths, which break when the SDK is
 * moved. And every driver on the module path is loaded; one without its native library ends the whole runtime.
 */
public final class TornadoFlags {
    /** TornadoVM brings its own; a JDK has a module of this name with nothing in it. */
    private static final String COMPILER = "jdk.graal.compiler";
    /** Packages of the compiler that the operations of our own for CUDA are built on. */
    private static final List<String> COMPILER_PACKAGES = List.of("graph", "nodeinfo", "nodes", "nodes.graphbuilderconf",
            "nodes.memory", "nodes.spi", "lir", "lir.asm", "lir.gen", "core.common", "core.common.type", "phases.util");

    private TornadoFlags() {}

    /**
     * Flags up to, not including, the class path.
     *
     * @param memoryBytes bytes of the device's memory that TornadoVM may use; or -1 for its default of 4 GB
     */
    public static List<String> of(TornadoSdk sdk, Collection<Backend> backends, long memoryBytes) {
        List<String> flags = new ArrayList<>();
        for (String line : argumentFile(sdk)) {
            if (line.isEmpty() || line.startsWith("#") || isOurs(line) || isOfOtherDriver(line, backends)) {
                continue;
            }
            int space = line.indexOf(' ');
            flags.add(space < 0 ? line : line.substring(0, space));
            if (space >= 0) {
                flags.add(line.substring(space + 1).strip());
            }
        }
        flags.add("-Djava.library.path=" + sdk.libraryFolder());
        List<Path> modules = new ArrayList<>(sdk.jars(backends));
        List<Path> upgrades = sdk.upgradeJars();
        if (ModuleFinder.ofSystem().find(COMPILER).isEmpty()) { // as in a bundle; upgraded modules would switch class data sharing off
            modules.addAll(upgrades);
            upgrades = List.of();
        }
        flags.add("--module-path");
        flags.add(joined(modules));
        if (!upgrades.isEmpty()) {
            flags.add("--upgrade-module-path");
            flags.add(joined(upgrades));
        }
        flags.add("--add-modules");
        flags.add("tornado.runtime,tornado.annotation,tornado.drivers.common,"
                + backends.stream().map(Backend::module).collect(Collectors.joining(",")));
        flags.add("--enable-native-access=ALL-UNNAMED," + Arrays.stream(Backend.values())
                .filter(backend -> isNeeded(backend, backends)).map(Backend::module).collect(Collectors.joining(",")));
        flags.add(VectorModule.FLAG);
        flags.add("--add-exports=jdk.internal.vm.ci/jdk.vm.ci.code=ALL-UNNAMED"); // the names of compiled kernels
        if (backends.contains(Backend.OPENCL)) {
            flags.add("--add-opens=tornado.drivers.opencl/uk.ac.manchester.tornado.drivers.opencl=ALL-UNNAMED"); // times of runs
        }
        if (backends.contains(Backend.CUDA)) {
            flags.add("--add-opens=tornado.drivers.cuda/uk.ac.manchester.tornado.drivers.cuda=ALL-UNNAMED"); // the same, kernels' binaries
            COMPILER_PACKAGES.forEach(name ->
                    flags.add("--add-exports=jdk.graal.compiler/jdk.graal.compiler." + name + "=ALL-UNNAMED"));
            flags.add("--add-exports=jdk.internal.vm.ci/jdk.vm.ci.meta=ALL-UNNAMED");
        }
        if (memoryBytes > 0) {
            flags.add("-Dtornado.device.memory=" + Math.max(1, memoryBytes >> 20) + "MB");
        }
        flags.addAll(TornadoConfig.flags(backends));
        return flags;
    }

    /**
     * The JVM for these backends, with the SDK's place in its environment, where TornadoVM looks for its settings.
     *
     * @param memoryBytes bytes of the device's memory that TornadoVM may use; or -1 for its default of 4 GB
     * @throws DeviceException if a backend is not here
     */
    public static JavaCommand command(Collection<Backend> backends, long memoryBytes) {
        for (Backend backend : backends) {
            BackendSurvey.obstacle(TornadoSdk.find(), backend).ifPresent(why -> {
                throw new DeviceException(backend.id() + " is not here: " + why + ".");
            });
        }
        return command(TornadoSdk.find().orElseThrow(), backends, memoryBytes);
    }

    /** The same whether or not the backends' libraries are on this machine: TornadoVM's virtual devices need none. */
    public static JavaCommand command(TornadoSdk sdk, Collection<Backend> backends, long memoryBytes) {
        return JavaCommand.of(of(sdk, backends, memoryBytes), Map.of("TORNADOVM_HOME", sdk.home().toString()));
    }

    private static List<String> argumentFile(TornadoSdk sdk) {
        try {
            return Files.readString(sdk.argumentFile()).lines().map(String::strip).toList();
        } catch (IOException e) {
            throw new DeviceException("the TornadoVM SDK at " + sdk.home() + " has no readable tornado-argfile ("
                    + e.getMessage() + "); install it again, or let its bin/tornado --generate-argfile write it", e);
        }
    }

    private static boolean isOurs(String line) {
        return line.startsWith("--module-path") || line.startsWith("--upgrade-module-path")
                || line.startsWith("--add-modules") || line.startsWith("--enable-native-access")
                || line.startsWith("-Djava.library.path");
    }

    private static boolean isOfOtherDriver(String line, Collection<Backend> backends) {
        for (Backend backend : Backend.values()) {
            if (!isNeeded(backend, backends) && line.contains(backend.module()) || line.contains("tornado.drivers.metal")) {
                return true;
            }
        }
        return false;
    }

    private static boolean isNeeded(Backend backend, Collection<Backend> wanted) {
        return wanted.contains(backend)
                || backend == Backend.OPENCL && wanted.contains(Backend.SPIRV); // whose driver builds on it
    }

    private static String joined(List<Path> jars) {
        return jars.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    }
}
