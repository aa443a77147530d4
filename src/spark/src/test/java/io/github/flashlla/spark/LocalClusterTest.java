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
import io.github.flashlla.verify.Accuracy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
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
                .set("spark.executor.extraClassPath", SparkRun.absoluteClassPath())
                .set("spark.executor.extraJavaOptions", "--add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED"));
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

    @Test
    void mistakesAreSentences() {
        String said = assertThrows(InvalidInputException.class, () -> SparkFiles.of(folder.resolve("none.npy").toString(), folder.resolve("k.npy").toString(),
                folder.resolve("v.npy").toString(), null)).getMessage();
        assertTrue(said.endsWith("none.npy does not exist."), said);
    }
}
