package io.github.flashlla.cli;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.process.VectorModule;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options of {@code run} that compute on Apache Spark, which is started here as the driver; see src/spark. */
final class SparkOptions {
    /** What begins as Hadoop's files do. */
    private static final String URL = "[a-z][a-z0-9+.-]+:/.*";
    private static final String MAIN = "io.github.flashlla.spark.SparkRun";
    /** What Spark's own launcher opens, as far as this driver needs it. */
    private static final List<String> OPENED = List.of("java.lang", "java.lang.invoke", "java.nio", "java.util", "java.util.concurrent", "sun.nio.ch");

    /** What says nothing without {@code --on}. */
    private static final List<String> SPARKS = List.of("--master", "--block", "--shards");

    @Option(names = "--on", paramLabel = "ENGINE", description = "spark: compute on Apache Spark, for files that its executors reach; --device is then each "
            + "task's (default: the GPU that Spark gives it, else jvm)")
    private String engine;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    @Option(names = "--master", paramLabel = "URL", defaultValue = "local[*]", description = "With --on spark: the cluster, such as spark://host:7077 or "
            + "local-cluster[2,1,1024] (default: ${DEFAULT-VALUE})")
    private String master;

    @Option(names = "--block", paramLabel = "N", defaultValue = "1024", description = "With --on spark: queries of a task (default: ${DEFAULT-VALUE})")
    private int block;

    @Option(names = "--shards", paramLabel = "N", defaultValue = "4", description = "With --on spark and one query per head: shards of each head's keys, a task "
            + "each (default: ${DEFAULT-VALUE})")
    private int shards;

    boolean asked() {
        if (engine != null && !engine.equals("spark")) {
            throw new InvalidInputException("--on '" + engine + "' is no engine; there is spark.");
        }
        if (engine == null) {
            for (String option : SPARKS) {
                if (command.commandLine().getParseResult().hasMatchedOption(option)) {
                    throw new InvalidInputException(option + " needs --on spark.");
                }
            }
        }
        if (block < 1 || shards < 1) {
            throw new InvalidInputException("--block and --shards must be at least 1.");
        }
        return engine != null;
    }

    /** @param device each task's; null for what Spark assigns */
    int run(TensorFile q, TensorFile k, TensorFile v, TensorFile out, TensorFile ridge, LlaOptions options, String device, boolean allowUnsolved) {
        Map<String, String> arguments = new HashMap<>(Map.of("master", master, "block", Integer.toString(block), "shards", Integer.toString(shards),
                "ridge", Double.toString(options.ridge()), "causal", Boolean.toString(options.causal()), "tol", Double.toString(options.tolerance()),
                "max_iterations", Integer.toString(options.maxIterations()), "preconditioner", options.preconditioner().name().toLowerCase(Locale.ROOT),
                "precision", options.precision().name().toLowerCase(Locale.ROOT)));
        arguments.put("q", file(q));
        arguments.put("k", file(k));
        arguments.put("v", file(v));
        arguments.put("out", file(out));
        if (ridge != null) {
            arguments.put("ridge_file", file(ridge));
        }
        if (!Double.isNaN(options.scale())) {
            arguments.put("scale", Double.toString(options.scale()));
        }
        if (device != null) {
            arguments.put("device", device);
        }
        if (allowUnsolved) {
            arguments.put("allow_unsolved", "true");
        }
        return CommandRelay.run(driver(), "Spark's driver", MAIN, arguments.entrySet().stream().map(one -> one.getKey() + "=" + one.getValue()).sorted().toList());
    }

    private String file(TensorFile file) {
        if (file.name() != null) {
            throw new InvalidInputException("--on spark reads .npy files, and " + file + " is none.");
        }
        String path = file.file().toString();
        if (!path.matches(URL)) {
            return file.file().toAbsolutePath().toString();
        }
        // as it was given: a path takes several slashes for one
        return command.commandLine().getParseResult().originalArgs().stream().map(word -> word.replaceFirst("^--[a-z-]+=", ""))
                .filter(word -> word.matches(URL) && Path.of(word).toString().equals(path)).findFirst().orElse(path);
    }

    private JavaCommand driver() {
        Path jar = ownJar();
        Path root = JavaCommand.root().toAbsolutePath().normalize();
        Path built = root.resolve("src/spark/target");
        Path program = built.resolve("flashlla-spark.jar");
        String set = System.getenv("SPARK_HOME");
        Path home = set != null && !set.isBlank() ? Path.of(set) : built.resolve("spark");
        if (!Files.exists(program) || !Files.isDirectory(home.resolve("jars"))) {
            throw new DeviceException("--on spark needs Apache Spark 4.2 and this project's part for it, and " + (Files.exists(program) ? home.resolve("jars") : program)
                    + " is not here: './mvnw -f src/spark/pom.xml package' in a clone of the project makes both, and fetches 220 MB.");
        }
        List<String> words = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), VectorModule.FLAG,
                "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Dlog4j2.configurationFile=flashlla-log4j2.properties",
                "-D" + JavaCommand.ROOT + "=" + root));
        OPENED.forEach(name -> words.add("--add-opens=java.base/" + name + "=ALL-UNNAMED"));
        String hadoop = System.getenv("HADOOP_CONF_DIR"); // as Spark's own launcher has it
        Stream<String> settings = hadoop == null || hadoop.isBlank() ? Stream.of() : Stream.of(hadoop);
        words.addAll(List.of("-cp", String.join(File.pathSeparator, Stream.of(Stream.of(jar.toString(), program.toString()), ejml(jar), settings,
                Stream.of(home.resolve("jars") + "/*")).flatMap(entries -> entries).toList())));
        Map<String, String> environment = new HashMap<>(Map.of("SPARK_HOME", home.toString(), "SPARK_SCALA_VERSION", "2.13"));
        if (master.startsWith("local")) {
            environment.put("SPARK_LOCAL_IP", "127.0.0.1");
        }
        return new JavaCommand(List.copyOf(words), environment);
    }

    /** The one library that attention needs; Spark brings those that others need. */
    private static Stream<String> ejml(Path jar) {
        try (Stream<Path> libraries = Files.list(jar.resolveSibling("lib"))) {
            return libraries.map(Path::toString).filter(name -> name.contains("ejml")).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path ownJar() {
        try {
            return Path.of(SparkOptions.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
