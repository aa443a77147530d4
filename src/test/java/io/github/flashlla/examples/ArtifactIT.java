package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.Devices;
import io.github.flashlla.cli.FlashLla;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The sample project, built by Maven in a folder of its own against the archive that is installed in a fresh local repository. */
@DisabledOnOs(OS.WINDOWS)
class ArtifactIT {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();

    @TempDir
    Path folder;

    @Test
    void theSampleProjectBuildsAgainstTheInstalledArtifact() throws Exception {
        Path sample = copy("embedding");
        install();
        maven("-f", sample.toString(), "package", "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:build-classpath",
                "-Dmdep.outputFile=" + folder.resolve("libraries"));
        List<String> libraries = Arrays.stream(Files.readString(folder.resolve("libraries")).strip().split(":"))
                .map(file -> Path.of(file).getFileName().toString()).sorted().toList();
        assertEquals(List.of("ejml-core-", "ejml-ddense-", "flashlla-"),
                libraries.stream().map(file -> file.replaceAll("[0-9.]+jar$", "")).toList());
        String java = Path.of(System.getProperty("java.home"), "bin/java").toString();
        String said = run(List.of(java, "--add-modules", "jdk.incubator.vector", "-cp",
                sample.resolve("target/classes") + ":" + Files.readString(folder.resolve("libraries")).strip(), "example.Example"), 0);
        assertTrue(said.contains("output (1,2,64,16), first ") && !said.contains("NaN"), said);
    }

    /** Task graphs are in the archive with the classifier, and nothing else of TornadoVM's is in the first. */
    @Test
    void theSampleWithTaskGraphsBuildsAgainstBothArtifacts() throws Exception {
        Path tornado = ROOT.resolve("target/flashlla-library-tornado.jar");
        assumeTrue(Files.exists(tornado), "this build has no TornadoVM SDK");
        assertTrue(names(tornado).contains("io/github/flashlla/tornado/LlaCache.class"));
        assertEquals(List.of(), names(tornado).stream().filter(name -> name.endsWith(".class") && !name.startsWith("io/github/flashlla/tornado/"))
                .toList());
        assertEquals(List.of(), names(ROOT.resolve("target/flashlla-library.jar")).stream()
                .filter(name -> name.startsWith("io/github/flashlla/tornado/")).toList());
        Path sample = copy("decoding");
        install("-Dclassifier=tornado", "-Dfile=" + tornado);
        install();
        maven("-f", sample.toString(), "package", "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:build-classpath",
                "-Dmdep.outputFile=" + folder.resolve("libraries"), "-Dtornado.sdk=" + TornadoSdk.find().orElseThrow().home());
        assertTrue(Files.exists(sample.resolve("target/decoding-1.jar")));
        assumeTrue(Devices.list().stream().anyMatch(device -> device.name().equals("opencl:0")), "no opencl:0 here");
        Path flags = Files.writeString(folder.resolve("opencl.args"), flags("opencl:0"));
        String said = run(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString(), "@" + flags, "-cp",
                sample.resolve("target/decoding-1.jar") + ":" + Files.readString(folder.resolve("libraries")).strip(), "example.Decoding", "opencl:0"), 0);
        assertTrue(said.contains("60 tokens, first output ") && !said.contains("NaN"), said);
    }

    /** The dependencies of docs/embedding.md are those of the sample, with the version of this project's own library. */
    @Test
    void thePageHasTheDependenciesOfTheSample() throws IOException {
        String page = Files.readString(ROOT.resolve("docs/embedding.md"));
        String block = page.substring(page.indexOf("```xml\n") + 7).split("```", 2)[0];
        String sample = Files.readString(ROOT.resolve("src/examples/decoding/pom.xml"));
        String wanted = sample.split("<dependencies>")[1].split("</dependencies>")[0];
        assertEquals(wanted.strip().replaceAll("\n +", "\n"), block.strip().replaceAll("\n +", "\n"));
        String version = Files.readString(ROOT.resolve("pom.xml")).split("<jackson.version>")[1].split("<")[0];
        assertTrue(block.contains("<artifactId>jackson-dataformat-yaml</artifactId>\n  <version>" + version + "<"), block);
        assertTrue(Files.readString(ROOT.resolve("README.md")).contains("jackson-dataformat-yaml:" + version + "`"));
    }

    private static String flags(String device) {
        StringWriter said = new StringWriter();
        assertEquals(0, FlashLla.execute(new PrintWriter(said, true), new PrintWriter(new StringWriter()), "flags", device));
        return said.toString();
    }

    private static List<String> names(Path jar) throws IOException {
        try (JarFile file = new JarFile(jar.toFile())) {
            return file.stream().map(JarEntry::getName).filter(name -> !name.endsWith("/")).toList();
        }
    }

    /** A sample project in an empty folder. */
    private Path copy(String name) throws IOException {
        Path from = ROOT.resolve("src/examples").resolve(name);
        Path sample = folder.resolve("sample");
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.filter(file -> Files.isRegularFile(file) && !from.relativize(file).startsWith("target")).toList()) {
                Path copy = sample.resolve(from.relativize(file));
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
        return sample;
    }

    /** @param which file and classifier; the main artifact without */
    private void install(String... which) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file",
                "-DpomFile=" + ROOT.resolve("pom.xml")));
        arguments.addAll(which.length > 0 ? List.of(which) : List.of("-Dfile=" + ROOT.resolve("target/flashlla-library.jar")));
        maven(arguments.toArray(String[]::new));
    }

    /** Plugins may come from this user's repository; libraries of the sample are looked for in the fresh one first. */
    private void maven(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(ROOT.resolve("mvnw").toString(), "-q", "-B", "-Dmaven.repo.local=" + folder.resolve("fresh"),
                "-Dmaven.repo.local.tail=" + Path.of(System.getProperty("user.home"), ".m2/repository")));
        command.addAll(List.of(arguments));
        String said = run(command, -1);
        assumeFalse(said.contains("Could not transfer") || said.contains("Unknown host") || said.contains("has not been downloaded"),
                "Maven Central cannot be reached, and a plugin of the sample's build is not here");
        assertTrue(!said.contains("[ERROR]"), said);
    }

    /** @param status wanted; -1 for any */
    private String run(List<String> command, int status) throws IOException, InterruptedException {
        Path said = Files.createTempFile(folder, "said", "");
        ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).redirectOutput(said.toFile());
        builder.environment().merge("MAVEN_OPTS", "-XX:TieredStopAtLevel=1", (set, own) -> set + " " + own); // a third less of the processor's time
        Process process = builder.start();
        if (!process.waitFor(300, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
        String text = Files.readString(said);
        assertTrue(status < 0 || process.waitFor() == status, text);
        return text;
    }
}
