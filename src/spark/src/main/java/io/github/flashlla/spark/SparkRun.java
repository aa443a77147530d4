package io.github.flashlla.spark;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.VectorModule;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaSparkContext;

/** {@code run --on spark}, and what {@code spark-submit} is given: arguments as {@code name=value}, where a name left out has its default. */
public final class SparkRun {
    private static final String CLASS_PATH = "spark.executor.extraClassPath";
    private static final String JAVA_OPTIONS = "spark.executor.extraJavaOptions";
    private static final int BLOCK_QUERIES = 1024;
    private static final int KEY_SHARDS = 4;

    private final Map<String, String> arguments = new HashMap<>();

    private SparkRun(String[] given) {
        for (String argument : given) {
            int at = argument.indexOf('=');
            if (at < 1) {
                throw new InvalidInputException("'" + argument + "' is no argument; give name=value, such as q=hdfs:///data/q.npy");
            }
            arguments.put(argument.substring(0, at), argument.substring(at + 1));
        }
    }

    /**
     * @param args q, k, v and out as files; ridge_file, ridge, scale, causal, tol, max_iterations, preconditioner, precision, device, block, shards,
     *     allow_unsolved, master
     */
    public static void main(String[] args) {
        CommandRelay.adopt();
        int status;
        try {
            status = new SparkRun(args).run();
        } catch (InvalidInputException e) {
            System.err.println("flashlla: " + e.getMessage());
            status = 2;
        } catch (IOException | RuntimeException e) {
            System.err.println("flashlla: " + reason(e));
            status = 1;
        } catch (Exception e) {
            if (!(e instanceof SparkException)) {
                throw new IllegalStateException(e); // Scala's methods declare none
            }
            System.err.println("flashlla: " + reason(e));
            status = 1;
        }
        System.out.flush();
        if (status != 0) {
            System.exit(status);
        }
    }

    private static String reason(Exception e) {
        String text = e.getMessage() == null ? e.toString() : e.getMessage().lines().findFirst().orElse(e.toString());
        return e instanceof DeviceException ? text : (e instanceof IOException ? "a file cannot be read or written: " : "Spark ended the job: ") + text;
    }

    private String need(String name) {
        String value = arguments.get(name);
        if (value == null) {
            throw new InvalidInputException("the argument " + name + " is missing");
        }
        return value;
    }

    private LlaOptions options() {
        LlaOptions options = LlaOptions.defaults().withRidge(number("ridge", 1)).withTolerance(number("tol", 1e-5))
                .withMaxIterations((int) number("max_iterations", 64)).withCausal(flag(arguments, "causal", true))
                .withPreconditioner(Preconditioner.valueOf(arguments.getOrDefault("preconditioner", "none").toUpperCase(Locale.ROOT)))
                .withPrecision(DataType.valueOf(arguments.getOrDefault("precision", "float32").toUpperCase(Locale.ROOT)));
        return arguments.containsKey("scale") ? options.withScale(number("scale", 1)) : options;
    }

    private double number(String name, double usual) {
        try {
            return arguments.containsKey(name) ? Double.parseDouble(arguments.get(name)) : usual;
        } catch (NumberFormatException e) {
            throw new InvalidInputException("the argument " + name + " is '" + arguments.get(name) + "', which is no number");
        }
    }

    static boolean flag(Map<String, String> arguments, String name, boolean usual) {
        String value = arguments.getOrDefault(name, Boolean.toString(usual));
        if (!value.equals("true") && !value.equals("false")) {
            throw new InvalidInputException("the argument " + name + " is '" + value + "'; give true or false");
        }
        return value.equals("true");
    }

    private int run() throws IOException {
        need("out"); // before anything runs
        flag(arguments, "allow_unsolved", false);
        SparkFiles files = SparkFiles.of(need("q"), need("k"), need("v"), arguments.get("ridge_file"));
        LlaOptions options = options();
        String device = arguments.getOrDefault("device", LlaSpark.ASSIGNED_DEVICE);
        try (JavaSparkContext sc = new JavaSparkContext(conf())) {
            return files.shape().queryLength() == 1 ? decode(sc, files, options) : forward(sc, files, options, device);
        }
    }

    /** What the user, or spark-submit, has set stays as it is. */
    private SparkConf conf() {
        SparkConf conf = new SparkConf().setIfMissing("spark.app.name", "flashlla").setIfMissing("spark.ui.enabled", "false")
                .setIfMissing(JAVA_OPTIONS, VectorModule.FLAG + " --enable-native-access=ALL-UNNAMED");
        if (arguments.containsKey("master")) {
            conf.setMaster(arguments.get("master"));
            if (arguments.get("master").startsWith("local")) { // executors on this machine have what this JVM has
                conf.setIfMissing(CLASS_PATH, absoluteClassPath());
            }
        }
        return conf;
    }

    static String absoluteClassPath() {
        return String.join(File.pathSeparator, List.of(System.getProperty("java.class.path").split(File.pathSeparator)).stream()
                .map(entry -> Path.of(entry).toAbsolutePath().toString()).toList());
    }

    private int forward(JavaSparkContext sc, SparkFiles files, LlaOptions options, String device) throws IOException {
        long start = System.nanoTime();
        String out = need("out");
        try (SparkFiles.Output output = files.output(out)) {
            List<Shard> shards = files.shards((int) number("block", BLOCK_QUERIES), options.causal(), out);
            ShardSummary summary = LlaSpark.forward(sc, shards, options, device);
            System.out.printf(Locale.ROOT, "forward %s on spark: %d tasks, %.2f s, at most %d iterations, worst residual %.1e%n", files.shape(), shards.size(),
                    (System.nanoTime() - start) / 1e9, summary.maxIterations(), summary.worstResidual());
            if (summary.unsolved() > 0 && !flag(arguments, "allow_unsolved", false)) {
                System.err.println("flashlla: " + summary.unsolved() + " of " + summary.queries() + " queries did not reach the tolerance " + options.tolerance()
                        + ", so nothing was written; raise --max-iter, or give --allow-unsolved.");
                return 1;
            }
            output.commit();
            return 0;
        }
    }

    private int decode(JavaSparkContext sc, SparkFiles files, LlaOptions options) throws IOException {
        long start = System.nanoTime();
        Tensor q = files.q().read(0, files.shape().queryDims());
        Tensor ridge = files.ridge() == null ? null : files.ridge().read(0, files.shape().rowDims());
        List<KeyShard> shards = files.keyShards((int) number("shards", KEY_SHARDS));
        LlaSpark.Decoded decoded = LlaSpark.decode(sc.parallelize(shards, shards.size()), q, ridge, files.newestKeys(), files.shape(), options);
        long[] dims = files.fileDims().clone();
        dims[dims.length - 1] = files.shape().valueDim();
        new NpyRows(need("out")).write(decoded.output().reshape(dims));
        System.out.printf(Locale.ROOT, "decode %s on spark: %d shards of keys, %.2f s%n", files.shape(), shards.size(), (System.nanoTime() - start) / 1e9);
        return 0;
    }
}
