package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.support.TestDevice;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import uk.ac.manchester.tornado.api.TaskGraph;

/** The program of docs/embedding.md is the sample project's, compiles against the public classes, and runs. */
public class EmbeddingPageOnDevice {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));

    @TempDir
    private Path folder;

    @Test
    void theProgramOfThePageRuns() throws Exception {
        TestDevice.assumeQuickCompiler();
        Path source = ROOT.resolve("src/examples/decoding/src/main/java/example/Decoding.java");
        Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(ROOT.resolve("docs/embedding.md")));
        assertTrue(block.find());
        assertEquals(Files.readString(source), block.group(1), "docs/embedding.md and the sample project differ");
        Path api = Path.of(TaskGraph.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        String libraries = ROOT.resolve("target/classes") + ":" + api;
        assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-proc:none", "-d", folder.toString(), "-cp", libraries,
                source.toString()));
        PrintStream before = System.out;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader())) {
            System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
            loader.loadClass("example.Decoding").getMethod("main", String[].class).invoke(null, (Object) new String[] {TestDevice.NAME});
        } finally {
            System.setOut(before);
        }
        String text = said.toString(StandardCharsets.UTF_8);
        assertTrue(text.startsWith("60 tokens, first output ") && !text.contains("NaN"), text);
    }
}
