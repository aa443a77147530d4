package io.github.flashlla.tornadovm;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/**
 * The files of {@code tornado-config}: those in the folder that the environment variable {@value #VARIABLE} names, or the
 * copies built in. A folder may hold some of the files only.
 */
public final class TornadoConfig {
    public static final String VARIABLE = "FLASHLLA_TORNADO_CONFIG";

    private TornadoConfig() {}

    /** Text of one file, such as {@code jvm.flags}. */
    public static String text(String file) {
        String folder = System.getenv(VARIABLE);
        try {
            if (folder != null && !folder.isBlank()) {
                if (!Files.isDirectory(Path.of(folder))) {
                    throw new InvalidInputException(VARIABLE + " is " + folder + ", which is not a folder");
                }
                Path own = Path.of(folder, file);
                if (Files.exists(own)) {
                    return Files.readString(own);
                }
            }
            try (InputStream in = TornadoConfig.class.getResourceAsStream("/tornado-config/" + file)) {
                if (in == null) {
                    throw new IllegalStateException("tornado-config/" + file + " is missing from this build");
                }
                return new String(in.readAllBytes(), StandardCharsets.UTF_8);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read tornado-config/" + file, e);
        }
    }

    /** JVM flags for these backends: lines of {@code jvm.flags}, of which {@code [backend]} begins those of one backend. */
    public static List<String> flags(Collection<Backend> backends) {
        List<String> flags = new ArrayList<>();
        boolean wanted = true;
        for (String line : text("jvm.flags").lines().map(String::strip).toList()) {
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            if (line.startsWith("[") && line.endsWith("]")) {
                String section = line.substring(1, line.length() - 1);
                Backend backend = Backend.of(section);
                if (backend == null && !section.equals("all")) {
                    throw new InvalidInputException("jvm.flags of tornado-config has a section for '" + section
                            + "'; there are all, opencl, spirv, ptx and cuda");
                }
                wanted = backend == null || backends.contains(backend);
            } else if (wanted) {
                flags.add(line);
            }
        }
        return flags;
    }
}
