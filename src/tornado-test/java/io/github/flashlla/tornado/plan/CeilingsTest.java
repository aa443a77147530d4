package io.github.flashlla.tornado.plan;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.faults.FaultScenarios;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A loop that does not compile leaves a device without ceilings and its measurements without shares, and nobody is told. */
public class CeilingsTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @EnumSource
    void everyBackendRunsTheLoops(Backend backend) throws Exception {
        String said = new TornadoChild(folder, backend).needsDevice()
                .run(FaultScenarios.class, "ceilings", backend.id() + ":0", "1", "1");
        assertTrue(said.endsWith("done"), said);
    }
}
