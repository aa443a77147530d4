package io.github.flashlla.bundle;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * One archive that runs on a Linux machine of this architecture with no Java.
 *
 * <pre>
 *   flashlla/bin/flashlla     starts everything below by its place, wherever it was unpacked
 *   flashlla/runtime          a Java runtime made by jlink
 *   flashlla/app              the program and its libraries, with an archive of their classes
 *   flashlla/tornado-config   flags and device profiles, read from here
 *   flashlla/tornadovm        jars and libraries of the TornadoVM SDK
 *   flashlla/golden, bench    test vectors, suites and data
 *   flashlla/commit           what it was packed from, for records
 * </pre>
 *
 * <p>The runtime and the jars inside are stored plain, and the archive as a whole is packed by xz: smaller by a third than
 * an archive of compressed parts.
 */
public final class Bundle {
    /** Of the JDK: what the program, its libraries and TornadoVM use. */
    private static final List<String> MODULES = List.of("java.base", "java.desktop", "java.instrument", "java.logging", "java.management",
            "java.naming", "java.net.http", "java.sql", "java.xml", "jdk.incubator.vector", "jdk.internal.vm.ci",
            "jdk.management", "jdk.unsupported", "jdk.zipfs");
    private static final String LAUNCHER = """
            #!/bin/sh
            # Starts FlashLLA with the Java runtime and the TornadoVM that lie beside it.
            unset CDPATH # with it, cd prints where it went, or goes elsewhere
            # Java takes file names in the locale's encoding, and cannot name what ASCII has no letters for
            case $(locale charmap 2>/dev/null || true) in
                ANSI_X3.4-1968 | US-ASCII | '') LC_ALL=C.UTF-8; export LC_ALL ;;
            esac
            here=$(dirname -- "$(readlink -f -- "$0")")/..
            here=$(cd -P -- "$here" && pwd -P)
            case $here in
                *:*)
                    echo "flashlla: the bundle lies in $here, but Java splits paths at a colon; move it to a folder without one." >&2
                    exit 1
                    ;;
            esac
            [ -d "$here/tornadovm" ] && export TORNADOVM_HOME="$here/tornadovm"
            : "${FLASHLLA_TORNADO_CONFIG:=$here/tornado-config}"
            export FLASHLLA_TORNADO_CONFIG
            # What only prints gains nothing from the optimising compiler
            quick=
            case "${1:-}" in
                '' | -h | --help | -V | --version | help | generate-completion | flags | compare | devices | doctor)
                    quick=-XX:TieredStopAtLevel=1
                    ;;
            esac
            # Classes as Java had them in memory when this was packed; Java says nothing where it reads the jars instead, as in a changed copy
            classes=$here/app/classes.jsa
            [ -f "$classes" ] || classes=
            # The export lets VectorModule load the Vector API without the JVM's warning
            exec "$here/runtime/bin/java" $quick --add-exports=java.base/jdk.internal.module=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \\
                ${classes:+"-XX:SharedArchiveFile=$classes"} '-Xlog:cds*=off' '-Xlog:aot*=off' \\
                -Dflashlla.root="$here" $FLASHLLA_JAVA_OPTS -cp "@CLASS_PATH@" io.github.flashlla.cli.FlashLla "$@"
            """;
    /** Loads what most commands load before they do anything of their own: the parser, the survey, profiles of devices. */
    private static final List<String> REHEARSAL = List.of("devices", "--kernels", "1x8x4096x64");

    private Bundle() {}

    /**
     * @param progress receives a line for each step
     * @param archive named for what it is, {@code .tar.xz}
     * @throws InvalidInputException if it is named for something else, this program runs from class files, or the JDK has no jlink
     */
    public static void write(Path archive, boolean withTornado, Consumer<String> progress) throws IOException {
        if (!archive.toString().matches("(?i).*\\.(tar\\.xz|txz)")) {
            throw new InvalidInputException("a bundle is packed by tar and xz, not as " + archive + " is named; name a file that ends in .tar.xz.");
        }
        Path jar = ownJar();
        Path root = jar.toAbsolutePath().getParent().getParent();
        Optional<TornadoSdk> sdk = withTornado ? TornadoSdk.find() : Optional.empty();
        try (OutputFile output = OutputFile.create(archive); ScratchFolder stage = new ScratchFolder("bundle")) {
            Path top = Files.createDirectory(stage.resolve("flashlla"));
            progress.accept("Java runtime");
            runtime(top.resolve("runtime"));
            progress.accept("program, test vectors, suites and data");
            copy(jar, top.resolve("app/flashlla.jar"));
            copyTree(jar.resolveSibling("lib"), top.resolve("app/lib"));
            copyFirst(top.resolve("golden"), root.resolve("src/test/resources/golden"), root.resolve("golden"));
            for (String folder : List.of("tornado-config", "bench/suites", "bench/data", "bench/schema")) {
                copyFirst(top.resolve(folder), root.resolve(folder));
            }
            if (Files.exists(root.resolve("LICENSE"))) {
                copy(root.resolve("LICENSE"), top.resolve("LICENSE"));
            }
            Optional<String> commit = SourceCommit.of(root);
            if (commit.isPresent()) {
                Files.writeString(top.resolve(SourceCommit.FILE), commit.get() + "\n");
            }
            if (sdk.isPresent()) {
                progress.accept("TornadoVM " + sdk.get().version());
                tornado(sdk.get(), top.resolve("tornadovm"));
            } else {
                progress.accept("no TornadoVM: " + (withTornado ? TornadoSdk.absence() : "left out as asked"));
            }
            Path launcher = top.resolve("bin/flashlla");
            Files.createDirectories(launcher.getParent());
            Files.writeString(launcher, launcher(top.resolve("app")));
            Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwxr-xr-x"));
            progress.accept("classes");
            rehearse(top, stage.resolve("cache")).ifPresent(progress);
            progress.accept("archive, which takes a minute or two");
            pack(stage.path(), output.temporary());
            output.commit();
        }
    }

    private static Path ownJar() {
        try {
            Path place = Path.of(Bundle.class.getProtectionDomain().getCodeSource().getLocation().toURI());
            if (!Files.isRegularFile(place)) {
                throw new InvalidInputException("bundle packs flashlla.jar, but this program runs from " + place
                        + "; build it with ./mvnw package and run that jar");
            }
            return place;
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void runtime(Path to) {
        ToolProvider jlink = ToolProvider.findFirst("jlink").orElseThrow(() -> new InvalidInputException(
                "this Java (" + System.getProperty("java.home") + ") has no jlink; run bundle with a full JDK 25"));
        List<String> arguments = new ArrayList<>();
        arguments.addAll(List.of("--add-modules", String.join(",", MODULES), "--strip-debug", "--no-header-files",
                "--no-man-pages", "--compress", "zip-0", "--generate-cds-archive", "--output", to.toString()));
        StringWriter said = new StringWriter();
        PrintWriter writer = new PrintWriter(said);
        if (jlink.run(writer, writer, arguments.toArray(String[]::new)) != 0) {
            throw new IllegalStateException("jlink failed: " + said.toString().strip());
        }
    }

    private static void tornado(TornadoSdk sdk, Path to) throws IOException {
        List<Backend> backends = Stream.of(Backend.values()).filter(sdk::has).toList();
        for (Path jar : sdk.jars(backends)) {
            store(jar, to.resolve("share/java/tornado").resolve(jar.getFileName()));
        }
        for (Path jar : sdk.upgradeJars()) {
            store(jar, to.resolve("share/java/graalJars").resolve(jar.getFileName()));
        }
        copyTree(sdk.libraryFolder(), to.resolve("lib"));
        copyTree(sdk.home().resolve("etc"), to.resolve("etc"));
        copy(sdk.argumentFile(), to.resolve("tornado-argfile"));
        try (Stream<Path> files = Files.list(sdk.home())) {
            for (Path licence : files.filter(file -> file.getFileName().toString().startsWith("LICENSE")).toList()) {
                copy(licence, to.resolve(licence.getFileName()));
            }
        }
    }

    /** The launcher names every jar: the order of a folder's files is another on every machine, and an archive of classes is for one. */
    private static String launcher(Path app) throws IOException {
        try (Stream<Path> jars = Files.list(app.resolve("lib"))) {
            return LAUNCHER.replace("@CLASS_PATH@", Stream.concat(Stream.of("flashlla.jar"), jars.map(jar -> "lib/" + jar.getFileName()).sorted())
                    .map(jar -> "$here/app/" + jar).collect(Collectors.joining(":")));
        }
    }

    /**
     * Runs the program as it will be unpacked: once for its caches, and once for the archive of its classes.
     *
     * @return why there is no archive; empty if there is one
     */
    private static Optional<String> rehearse(Path top, Path cache) throws IOException {
        String said = "";
        for (String flags : List.of("", "-XX:ArchiveClassesAtExit=classes.jsa")) {
            ProcessBuilder builder = new ProcessBuilder(top.resolve("bin/flashlla").toString()).directory(top.resolve("app").toFile()).redirectErrorStream(true);
            builder.command().addAll(REHEARSAL);
            builder.environment().put("FLASHLLA_CACHE", cache.toString());
            builder.environment().put("FLASHLLA_JAVA_OPTS", flags);
            said = run(builder).orElse("");
        }
        return Files.exists(top.resolve("app/classes.jsa")) ? Optional.empty() : Optional.of("no archive of classes: " + said);
    }

    /** With the system's tar, which keeps permissions and links. */
    private static void pack(Path stage, Path archive) throws IOException {
        ProcessBuilder builder = new ProcessBuilder("tar", "--owner=0", "--group=0", "--sort=name", "-cJf", archive.toString(), "-C",
                stage.toString(), "flashlla").redirectErrorStream(true);
        builder.environment().putIfAbsent("XZ_OPT", "-T0"); // on all cores
        Optional<String> said = run(builder);
        if (said.isPresent()) {
            throw new IOException("tar could not pack it: " + said.get());
        }
    }

    /** What a process said that failed; empty if it did not. */
    private static Optional<String> run(ProcessBuilder builder) throws IOException {
        Process process = builder.start();
        Thread ender = Thread.ofPlatform().unstarted(() -> {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        });
        Runtime.getRuntime().addShutdownHook(ender); // tar and xz would go on for minutes
        try {
            return end(process);
        } finally {
            forget(ender);
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            return; // the JVM is going down, and the hook runs
        }
    }

    private static Optional<String> end(Process process) throws IOException {
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            return process.waitFor() == 0 ? Optional.empty() : Optional.of(said);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while packing", e);
        }
    }

    /** A jar with nothing in it compressed. */
    private static void store(Path jar, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        try (ZipFile from = new ZipFile(jar.toFile()); ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(to))) {
            out.setLevel(Deflater.NO_COMPRESSION);
            for (ZipEntry entry : Collections.list(from.entries())) {
                out.putNextEntry(new ZipEntry(entry.getName()));
                try (InputStream in = from.getInputStream(entry)) {
                    in.transferTo(out);
                }
                out.closeEntry();
            }
        }
    }

    private static void copyFirst(Path to, Path... candidates) throws IOException {
        for (Path from : candidates) {
            if (Files.isDirectory(from)) {
                copyTree(from, to);
                return;
            }
        }
    }

    private static void copyTree(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from.toRealPath())) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                copy(file, to.resolve(from.toRealPath().relativize(file).toString()));
            }
        }
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        Files.copy(from, to, StandardCopyOption.COPY_ATTRIBUTES, StandardCopyOption.REPLACE_EXISTING);
    }
}
