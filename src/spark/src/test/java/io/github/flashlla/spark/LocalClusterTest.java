package io.github.flashlla.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.process.VectorModule;
import io.github.flashlla.verify.Accuracy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkStageInfo;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Two executors in JVMs of their own, as Spark's local-cluster starts them, against the device jvm in this one. */
@Timeout(900)
class LocalClusterTest {
    private static final AttentionShape SHAPE = AttentionShape.square(1, 8, 4096, 64);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withTolerance(1e-4);

    @TempDir
    private static Path folder;
    private static JavaSparkContext sc;
    private static LlaInputs inputs;
    private static Tensor expected;

    @BeforeAll
    static void start() {
        Random random = new Random(3);
        inputs = LlaInputs.of(write("q", random, SHAPE.queryDims()), write("k", random, SHAPE.keyDims()), write("v", random, SHAPE.valueDims()));
        try (Device jvm = Devices.open("jvm")) {
            expected = jvm.forward(inputs, OPTIONS).output();
        }
        sc = new JavaSparkContext(new SparkConf().setMaster("local-cluster[2,1,1024]").setAppName("test").set("spark.ui.enabled", "false")
                .set("spark.hadoop.fs.other.impl", OtherFileSystem.class.getName())
                .set("spark.executor.extraClassPath", SparkRun.absoluteClassPath())
                .set("spark.executor.extraJavaOptions", VectorModule.FLAG + " --enable-native-access=ALL-UNNAMED"));
    }

    @AfterAll
    static void stop() {
        sc.close();
    }

    private static Tensor write(String name, Random random, long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        Npy.write(folder.resolve(name + ".npy"), tensor);
        return tensor;
    }

    private static SparkFiles files(String q) throws IOException {
        return SparkFiles.of(folder.resolve(q + ".npy").toString(), folder.resolve("k.npy").toString(), "file:" + folder.resolve("v.npy"), null);
    }

    private static Tensor forward(String name, int block) throws IOException {
        Path out = folder.resolve(name + ".npy");
        try (SparkFiles.Output output = files("q").output(out.toString())) {
            ShardSummary summary = LlaSpark.forward(sc, files("q").shards(block, true, out.toString()), OPTIONS, LlaSpark.ASSIGNED_DEVICE);
            assertEquals(SHAPE.rows(), summary.queries());
            assertEquals(0, summary.unsolved());
            assertFalse(Files.exists(out), "not before it is complete");
            output.commit();
        }
        return Npy.read(out);
    }

    @Test
    void forwardIsThatOfOneMachine() throws IOException {
        assertTrue(Accuracy.relativeError(forward("o", 1024), expected) < 1e-4);
    }

    /** Its tasks run again; the job goes on. */
    @Test
    void anExecutorIsKilled() throws IOException, InterruptedException {
        AtomicBoolean killed = new AtomicBoolean();
        Thread killer = Thread.ofPlatform().daemon().start(() -> {
            while (!killed.get()) {
                for (int stage : sc.statusTracker().getActiveStageIds()) {
                    SparkStageInfo info = sc.statusTracker().getStageInfo(stage);
                    if (info != null && info.numCompletedTasks() >= 3) {
                        ProcessHandle.current().descendants().filter(process -> process.info().command()
                                .filter(command -> command.endsWith("/java")).isPresent()).findFirst() // this JVM starts no other
                                .ifPresent(executor -> killed.set(executor.destroyForcibly()));
                    }
                }
                try {
                    Thread.sleep(20);
                } catch (InterruptedException e) {
                    return;
                }
            }
        });
        Tensor output = forward("killed", 256);
        assertTrue(killed.get(), "no executor was killed in the middle");
        killer.join();
        assertTrue(Accuracy.relativeError(output, expected) < 1e-4);
    }

    @Test
    void aStepOverFourShardsIsThatOfOneMachine() throws IOException {
        Tensor q = write("q1", new Random(4), 1, 8, 1, 64);
        SparkFiles files = files("q1");
        List<KeyShard> shards = files.keyShards(4);
        assertEquals(32, shards.size());
        LlaSpark.Decoded decoded = LlaSpark.decode(sc.parallelize(shards, shards.size()), q, null, files.newestKeys(), files.shape(), OPTIONS);
        try (Device jvm = Devices.open("jvm")) {
            LlaResult want = jvm.decode(LlaInputs.of(q, inputs.k(), inputs.v()), OPTIONS.withTolerance(1e-6));
            assertTrue(Accuracy.relativeError(decoded.output(), want.output()) < 1e-4);
            assertTrue(Accuracy.relativeError(decoded.logSumExp(), want.logSumExp()) < 1e-5);
        }
    }

    /** Inputs and outputs in a file system that only Hadoop knows: the output is a folder of parts, which is there when it is complete. */
    @Test
    void filesAreInAnyOfHadoopsFileSystems() throws IOException {
        AttentionShape shape = new AttentionShape(1, 4, 2, 300, 300, 16, 12);
        Random random = new Random(9);
        LlaInputs small = LlaInputs.of(write("hq", random, shape.queryDims()), write("hk", random, shape.keyDims()), write("hv", random, shape.valueDims()));
        SparkFiles files = SparkFiles.of(other("hq.npy"), other("hk.npy"), other("hv.npy"), null);
        Tensor want;
        try (Device jvm = Devices.open("jvm")) {
            want = jvm.forward(small, OPTIONS).output();
        }
        String out = other("ho");
        List<Shard> shards = files.shards(128, true, out);
        try (SparkFiles.Output output = files.output(out)) {
            LlaSpark.forward(sc, shards, OPTIONS, "jvm");
            assertFalse(Files.exists(folder.resolve("ho")), "not before it is complete");
            output.commit();
        }
        try (Stream<Path> parts = Files.list(folder.resolve("ho"))) {
            assertEquals(shards.size(), parts.filter(part -> part.getFileName().toString().endsWith(".npy")).count());
        }
        Tensor part = new NpyRows(other("ho/head-000001-query-0000000128.npy")).read(0, 1, 2, 128, 12);
        for (int head = 0; head < 2; head++) {
            for (int i = 0; i < 128 * 12; i++) {
                assertEquals(want.get(((2 + head) * 300 + 128) * 12 + i), part.get(head * 128 * 12 + i), 1e-4);
            }
        }
        assertThrows(InvalidInputException.class, () -> files.output(out));
        try (SparkFiles.Output output = files.output(other("never"))) {
            LlaSpark.forward(sc, files.shards(128, true, other("never")), OPTIONS, "jvm");
        }
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(), left.map(Path::getFileName).map(Path::toString).filter(name -> name.contains("never") || name.contains(".ho")).toList());
        }
        NpyRows step = new NpyRows(other("step.npy"));
        step.write(want);
        assertEquals(-1, want.segment().mismatch(step.read(0, shape.outputDims()).segment()));
    }

    private static String other(String name) {
        return OtherFileSystem.SCHEME + "://" + folder.resolve(name);
    }

    @Test
    void mistakesAreSentences() {
        String said = assertThrows(InvalidInputException.class, () -> SparkFiles.of(folder.resolve("none.npy").toString(), folder.resolve("k.npy").toString(),
                folder.resolve("v.npy").toString(), null)).getMessage();
        assertTrue(said.endsWith("none.npy does not exist."), said);
    }
}
