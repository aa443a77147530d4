package io.github.flashlla.process;

import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A java command up to where the main class goes.
 *
 * @param words java, its flags and its class path
 * @param environment what is added to this JVM's environment
 */
public record JavaCommand(List<String> words, Map<String, String> environment) {

    /** The system property that names {@link #root()}; launchers set it. */
    public static final String ROOT = "flashlla.root";

    /** The project's folder, where test vectors and suites lie; the working directory where nothing names one. */
    public static Path root() {
        return Path.of(System.getProperty(ROOT, "."));
    }

    /** The java of this JVM, with these flags and this JVM's class path and project. */
    public static JavaCommand of(List<String> flags, Map<String, String> environment) {
        List<String> words = new ArrayList<>();
        words.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        words.addAll(flags);
        if (System.getProperty(ROOT) != null) {
            words.add("-D" + ROOT + "=" + System.getProperty(ROOT));
        }
        words.addAll(List.of("-cp", System.getProperty("java.class.path")));
        return new JavaCommand(List.copyOf(words), environment);
    }

    /** A JVM like this one: its modules and its heap. */
    public static JavaCommand likeThis() {
        List<String> flags = new ArrayList<>();
        flags.addAll(VectorModule.flags());
        flags.add("--enable-native-access=ALL-UNNAMED");
        flags.add("-Xmx" + Runtime.getRuntime().maxMemory());
        return of(flags, Map.of());
    }

    /** The same with more flags, which win over those that are there. */
    public JavaCommand with(List<String> flags) {
        List<String> more = new ArrayList<>(words);
        more.addAll(more.indexOf("-cp"), flags);
        return new JavaCommand(List.copyOf(more), environment);
    }

    /** The same with more at the end of the class path. */
    public JavaCommand withClassPath(List<String> entries) {
        List<String> more = new ArrayList<>(words);
        int at = more.indexOf("-cp") + 1;
        more.set(at, more.get(at) + File.pathSeparator + String.join(File.pathSeparator, entries));
        return new JavaCommand(List.copyOf(more), environment);
    }

    /** The same with one more variable in its environment. */
    public JavaCommand with(String variable, String value) {
        Map<String, String> more = new java.util.HashMap<>(environment);
        more.put(variable, value);
        return new JavaCommand(words, Map.copyOf(more));
    }
}
