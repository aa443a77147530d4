package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import io.github.flashlla.cli.Launcher.Run;
import io.github.flashlla.io.Npy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A second process takes the first one's compiled kernels, and answers with the same bits. */
class KernelCacheIT {
    @TempDir
    private Path folder;

    @Test
    void aSecondProcessCompilesNothing() throws IOException {
        Path cache = folder.resolve("cache");
        Launcher launcher = new Launcher(folder).with("FLASHLLA_CACHE", cache.toString());
        assumeTrue(launcher.run("devices").out().contains("opencl:0"), "needs TornadoVM with an OpenCL device");

        byte[] cold = output(launcher);
        Map<Path, FileTime> written = times(cache.resolve("kernels"));
        assertTrue(written.size() > 1, "one file for what was learnt of kernels, others with their code");

        assertArrayEquals(cold, output(launcher), "warm");
        assertEquals(written, times(cache.resolve("kernels")), "what is compiled is written");

        for (Path file : written.keySet()) {
            Files.write(file, new byte[] {1, 2, 3});
        }
        Run doctor = launcher.run("doctor");
        assertTrue(doctor.out().contains(written.size() + " files are ignored"), doctor.out());
        assertArrayEquals(cold, output(launcher), "compiled again");
        assertEquals(written.keySet(), times(cache.resolve("kernels")).keySet());
        for (Path file : written.keySet()) {
            assertTrue(Files.size(file) > 3, "written again");
        }
    }

    private byte[] output(Launcher launcher) throws IOException {
        for (String name : List.of("q", "k", "v")) {
            Tensor values = Tensor.allocate(DataType.FLOAT32, 1, 2, 5, 4);
            for (int i = 0; i < values.size(); i++) {
                values.set(i, Math.sin(i + name.charAt(0)));
            }
            Npy.write(folder.resolve(name + ".npy"), values);
        }
        Path out = folder.resolve("o.npy");
        Run run = launcher.run("run", "--device", "opencl:0", "--q", path("q"), "--k", path("k"), "--v", path("v"), "--out", out.toString());
        assertEquals(0, run.status(), run.err());
        return Files.readAllBytes(out);
    }

    private String path(String name) {
        return folder.resolve(name + ".npy").toString();
    }

    private static Map<Path, FileTime> times(Path kernels) throws IOException {
        Map<Path, FileTime> times = new TreeMap<>();
        try (Stream<Path> files = Files.list(kernels)) {
            for (Path file : files.toList()) {
                times.put(file, Files.getLastModifiedTime(file));
            }
        }
        return times;
    }
}
