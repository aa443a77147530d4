package io.github.flashlla.tornadovm;

import io.github.flashlla.DeviceException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.module.FindException;
import java.lang.module.ModuleDescriptor.Requires;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReference;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * An installed TornadoVM SDK. Reads its files only; nothing of it is loaded.
 *
 * @param home its folder, the one with {@code share/java/tornado} and {@code lib}
 */
public record TornadoSdk(Path home) {
    public static final String HOW_TO_GET = "install one with SDKMAN ('sdk install tornadovm') or set TORNADOVM_HOME";

    private static final String SUPPORTED = "5.2.";

    private static final Map<Path, ModuleFinder> FINDERS = new ConcurrentHashMap<>();

    /** Modules that every backend needs; their own requirements follow from their descriptors. */
    private static final List<String> CORE = List.of("tornado.runtime", "tornado.annotation", "tornado.drivers.common");

    /** The SDK at TORNADOVM_HOME, else where SDKMAN puts it. */
    public static Optional<TornadoSdk> find() {
        String set = System.getenv("TORNADOVM_HOME");
        Path home;
        try {
            home = set != null && !set.isBlank() ? Path.of(set)
                    : Path.of(System.getProperty("user.home"), ".sdkman", "candidates", "tornadovm", "current");
        } catch (InvalidPathException e) {
            return Optional.empty(); // a name that the locale's encoding has no letters for
        }
        TornadoSdk sdk = new TornadoSdk(home);
        return Files.isDirectory(sdk.jarFolder()) ? Optional.of(sdk) : Optional.empty();
    }

    /** Why {@link #find} found none, in one sentence. */
    public static String absence() {
        String set = System.getenv("TORNADOVM_HOME");
        return set != null && !set.isBlank() ? "TORNADOVM_HOME is " + set + ", which has no share/java/tornado that Java can read; set it to a TornadoVM SDK"
                : "no TornadoVM SDK; " + HOW_TO_GET;
    }

    Path jarFolder() {
        return home.resolve("share/java/tornado");
    }

    /**
     * Newer versions of JDK modules that the SDK brings, above all Graal's compiler; a runtime image may hold them instead.
     */
    public Path upgradeFolder() {
        return home.resolve("share/java/graalJars");
    }

    public Path libraryFolder() {
        return home.resolve("lib");
    }

    /** Flags of a full JVM as the SDK's installer wrote them. */
    public Path argumentFile() {
        return home.resolve("tornado-argfile");
    }

    /** Version, such as {@code 5.2.0-jdk25}, or {@code unknown}. */
    public String version() {
        try {
            return module("tornado.api").map(ModuleReference::descriptor).flatMap(d -> d.rawVersion()).orElse("unknown");
        } catch (DeviceException e) {
            return "unknown"; // a damaged SDK concerns its own devices, not the record
        }
    }

    /**
     * Why this SDK's version cannot be used, in one sentence; empty for {@value #SUPPORTED}x and where the version is unknown, which
     * means a jar that cannot be read.
     */
    public Optional<String> unsupported() {
        String version = version();
        return version.equals("unknown") || version.startsWith(SUPPORTED) ? Optional.empty()
                : Optional.of("the TornadoVM SDK at " + home + " is version " + version + ", but FlashLLA is built and tested for " + SUPPORTED
                        + "x (later versions have no PTX, no SPIR-V and another compiler interface); 'sdk install tornadovm "
                        + "5.2.0-jdk25-opencl' installs one, and TORNADOVM_HOME names it");
    }

    /** Whether it was installed with this backend's driver. */
    public boolean has(Backend backend) {
        return module(backend.module()).isPresent();
    }

    /** Jars that the backends' JVM needs on its module path, and no others: every driver on that path is loaded. */
    public List<Path> jars(Collection<Backend> backends) {
        ModuleFinder all = modules();
        ModuleFinder system = ModuleFinder.ofSystem();
        Deque<String> open = new ArrayDeque<>(CORE);
        backends.forEach(backend -> open.add(backend.module()));
        Map<String, Path> found = new LinkedHashMap<>();
        while (!open.isEmpty()) {
            String name = open.remove();
            Optional<ModuleReference> reference = all.find(name);
            if (found.containsKey(name) || reference.isEmpty() || system.find(name).isPresent()) {
                continue; // of the JDK, or upgraded
            }
            found.put(name, Path.of(reference.get().location().orElseThrow()));
            reference.get().descriptor().requires().stream().filter(r -> !r.modifiers().contains(Requires.Modifier.STATIC))
                    .forEach(r -> open.add(r.name()));
        }
        return found.values().stream().sorted().toList(); // modules are in no order, and archives of classes are for one
    }

    /** Jars for {@code --upgrade-module-path} that the compiler needs; empty where the SDK brings none. */
    public List<Path> upgradeJars() {
        if (!Files.isDirectory(upgradeFolder())) {
            return List.of();
        }
        Set<String> needed = Set.of("jdk.graal.compiler", "org.graalvm.collections", "org.graalvm.word",
                "org.graalvm.truffle.compiler");
        try (Stream<Path> files = Files.list(upgradeFolder())) {
            return files.filter(file -> file.toString().endsWith(".jar")).sorted()
                    .filter(file -> ModuleFinder.of(file).findAll().stream().anyMatch(m -> needed.contains(m.descriptor().name())))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot list " + upgradeFolder(), e);
        } catch (FindException e) {
            throw damaged(e);
        }
    }

    /** Reads the jars' descriptors once per JVM, since that takes 0.1 s. */
    private ModuleFinder modules() {
        return FINDERS.computeIfAbsent(jarFolder(), ModuleFinder::of);
    }

    private Optional<ModuleReference> module(String name) {
        try {
            return modules().find(name);
        } catch (FindException e) {
            throw damaged(e);
        }
    }

    private DeviceException damaged(FindException e) {
        return new DeviceException("the TornadoVM SDK at " + home + " has a jar that cannot be read (" + e.getMessage()
                + "); install it again", e);
    }
}
