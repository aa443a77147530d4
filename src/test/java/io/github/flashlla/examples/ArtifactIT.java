package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
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
        Path sample = folder.resolve("sample");
        try (Stream<Path> files = Files.walk(ROOT.resolve("src/examples/embedding"))) {
            for (Path file : files.filter(file -> Files.isRegularFile(file) && !file.toString().contains("target")).toList()) {
                Path copy = sample.resolve(ROOT.resolve("src/examples/embedding").relativize(file));
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
        maven("org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file", "-Dfile=" + ROOT.resolve("target/flashlla.jar"),
                "-DpomFile=" + ROOT.resolve("pom.xml"));
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
        Process process = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).redirectOutput(said.toFile()).start();
        if (!process.waitFor(300, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
        String text = Files.readString(said);
        assertTrue(status < 0 || process.waitFor() == status, text);
        return text;
    }
}
