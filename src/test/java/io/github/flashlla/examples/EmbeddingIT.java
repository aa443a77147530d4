package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** What an application needs that embeds attention: the archive, EJML, and no other library. */
@DisabledOnOs(OS.WINDOWS)
class EmbeddingIT {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();
    @TempDir
    private Path folder;

    @Test
    void theSampleProjectRunsWithTheArchiveAndEjmlAlone() throws Exception {
        Path sample = ROOT.resolve("src/examples/embedding/src/main/java/example/Example.java");
        int compiled = ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d", folder.toString(), "-cp", libraries(), "-proc:none",
                sample.toString());
        assertEquals(0, compiled);
        Path said = folder.resolve("said");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--add-exports=java.base/jdk.internal.module=ALL-UNNAMED", "-cp", folder + ":" + libraries(), "example.Example").redirectErrorStream(true)
                .redirectOutput(said.toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        String text = Files.readString(said);
        assertEquals(0, process.exitValue(), text);
        assertTrue(text.contains("output (1,2,64,16), first ") && !text.contains("NaN") && !text.contains("WARNING"), text);
    }

    @Test
    void everyOtherLibraryIsOptional() throws Exception {
        var pom = javax.xml.parsers.DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(ROOT.resolve("pom.xml").toFile());
        var dependencies = (org.w3c.dom.NodeList) javax.xml.xpath.XPathFactory.newInstance().newXPath().evaluate(
                "/project/dependencies/dependency[not(optional='true') and not(scope='test') and not(scope='provided')]/artifactId", pom,
                javax.xml.xpath.XPathConstants.NODESET);
        List<String> names = java.util.stream.IntStream.range(0, dependencies.getLength()).mapToObj(i -> dependencies.item(i).getTextContent())
                .toList();
        assertEquals(List.of("ejml-ddense"), names);
    }

    private static String libraries() throws IOException {
        try (Stream<Path> files = Files.list(ROOT.resolve("target/lib"))) {
            return Stream.concat(Stream.of(ROOT.resolve("target/flashlla-library.jar")), files.filter(file -> file.getFileName().toString()
                    .startsWith("ejml-"))).map(Path::toString).collect(Collectors.joining(":"));
        }
    }
}
