package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The operations and the kernels that use them, on a warp that the JVM emulates; TornadoVM's API is in a JVM of its own alone. */
class TileOnJvmTest {
    @TempDir
    private Path folder;

    @Test
    void agrees() throws Exception {
        // one carrier: threads that meet this often would take turns on two of them, for more of the processor's time
        TornadoChild child = new TornadoChild(folder, Backend.OPENCL).flag("-XX:TieredStopAtLevel=4").flag("-Djdk.virtualThreadScheduler.parallelism=1")
                .flag("-Djdk.virtualThreadScheduler.maxPoolSize=1");
        // the second compiler for what runs longest alone: it took as much time as all kernels
        child.flag("-XX:-DoEscapeAnalysis").flag("-XX:Tier4InvocationThreshold=50000").flag("-XX:Tier4MinInvocationThreshold=6000")
                .flag("-XX:Tier4CompileThreshold=150000").flag("-XX:Tier4BackEdgeThreshold=1000000");
        String said = child.run(TileRunner.class, ".*(?:Tile|WarpGroup|Split|TensorCore).*OnJvm");
        assertTrue(said.endsWith("done"), said);
    }
}
