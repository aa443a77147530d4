package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.RandomInputs;
import java.io.IOException;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What README and Javadoc promise, tried. */
class ReadmeTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));

    @TempDir
    Path folder;

    @Test
    void theJavaOfTheReadmeComputes() throws Exception {
        Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(ROOT.resolve("README.md")));
        assertTrue(block.find());
        assertComputes(block.group(1));
    }

    @Test
    void theJavaOfTheJavadocComputes() throws Exception {
        String text = Files.readString(ROOT.resolve("src/main/java/io/github/flashlla/package-info.java"));
        Matcher block = Pattern.compile("\\{@code\n(.*?)\n \\* }</pre>", Pattern.DOTALL).matcher(text);
        assertTrue(block.find());
        assertComputes(block.group(1).replaceAll("(?m)^ \\* ?", ""));
    }

    /** Compiles the lines into a method of q, k and v, and runs it. */
    private void assertComputes(String lines) throws Exception {
        String body = lines.strip().replaceFirst("}$", "    return o;\n}");
        Path source = Files.writeString(folder.resolve("Snippet.java"), "import io.github.flashlla.*;\n\npublic class Snippet {\n"
                + "    public static float[] run(Tensor q, Tensor k, Tensor v) {\n" + body + "\n    }\n}\n");
        StringWriter said = new StringWriter();
        var compiler = ToolProvider.getSystemJavaCompiler();
        try (var files = compiler.getStandardFileManager(null, null, null)) {
            assertTrue(compiler.getTask(said, files, null, List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path")),
                    null, files.getJavaFileObjects(source)).call(), said::toString);
        }
        LlaInputs inputs = RandomInputs.normal(new AttentionShape(2, 4, 2, 20, 30, 16, 12), DataType.FLOAT32);
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()}); Device device = Devices.open("jvm")) {
            Object o = loader.loadClass("Snippet").getMethod("run", Tensor.class, Tensor.class, Tensor.class)
                    .invoke(null, inputs.q(), inputs.k(), inputs.v());
            assertArrayEquals(device.forward(inputs, LlaOptions.defaults()).output().toFloatArray(), (float[]) o);
        }
    }

    @Test
    void theDependencyOfTheReadmeIsTheSamples() throws IOException {
        Matcher block = Pattern.compile("```xml\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(ROOT.resolve("README.md")));
        assertTrue(block.find());
        String wanted = block.group(1).replaceAll("\\s+", "");
        assertTrue(Files.readString(ROOT.resolve("src/examples/embedding/pom.xml")).replaceAll("\\s+", "").contains(wanted));
        assertTrue(Files.readString(ROOT.resolve("pom.xml")).replaceAll("\\s+", "").contains(wanted.replace("<dependency>", "")
                .replace("</dependency>", "")), "the version of the README is not this one");
    }

    /** A fresh clone has nothing around it. */
    @Test
    void noFileNeedsAnythingOutsideTheTree() throws IOException {
        for (String name : List.of("README.md", "pom.xml", "bin/flashlla", "bin/find-jdk", ".ci/run")) {
            assertFalse(Files.readString(ROOT.resolve(name)).contains("../shared"), name);
        }
    }
}
