package io.github.flashlla.tornadovm;

import org.junit.jupiter.api.io.TempDir;
import java.nio.file.Path;
import java.nio.file.Files;
import java.io.IOException;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceProfileTest {
    private static final DeviceInfo H200 = device("opencl:0", DeviceInfo.Type.GPU, "NVIDIA H200", "NVIDIA CUDA");
    private static final DeviceInfo POCL = device("opencl:1", DeviceInfo.Type.CPU, "AMD EPYC", "Portable Computing Language");

    private static DeviceInfo device(String name, DeviceInfo.Type type, String hardware, String vendor) {
        return new DeviceInfo(name, name.substring(0, name.indexOf(':')), type, hardware, vendor, "driver", 1000, 48 << 10, 2,
                List.of(DataType.FLOAT32));
    }

    @Test
    void ofThisProject() {
        assertTrue(DeviceProfile.of(H200).compilerFlags().orElseThrow().contains("-cl-nv-maxrregcount"));
        assertEquals(Optional.empty(), DeviceProfile.of(POCL).compilerFlags());
        DeviceInfo old = device("opencl:2", DeviceInfo.Type.CPU, "pthread-skylake-avx512-AMD EPYC", "Portable Computing Language");
        assertTrue(DeviceProfile.of(old).compilerFlags().orElseThrow().endsWith("contract(fast))__kernel"));
        assertTrue(DeviceProfile.of(H200).kernels(Pass.FORWARD).contains("gpu"));
        assertEquals(900, DeviceProfile.memoryBudget(POCL));
    }

    @Test
    void laterMatchesReplaceEarlierOnes() {
        String text = """
                - {memory_share: 0.5, forward: [a], backward: [d], decode: [e], softmax: [f], local_memory_kib: 8, profiled_runs: 7}
                - {backend: opencl, memory_share: 0.6}
                - {type: gpu, forward: [b, c]}
                - {vendor: nvidia, hardware: h200, compiler_flags: -x}
                - {backend: cuda, memory_share: 0.7}
                """;
        assertEquals(new DeviceProfile(0.6, kernels("b", "c"), Optional.of(8192L), Optional.of("-x"), 7), DeviceProfile.of(H200, text));
        assertEquals(new DeviceProfile(0.6, kernels("a"), Optional.of(8192L), Optional.empty(), 7), DeviceProfile.of(POCL, text));
    }

    /** The first and the second time, since Java says another thing of a class that has failed before. */
    @Test
    void aMissingLibraryIsNamed() throws Exception {
        URL[] own = {DeviceProfile.class.getProtectionDomain().getCodeSource().getLocation(),
            DeviceProfileTest.class.getProtectionDomain().getCodeSource().getLocation()};
        try (URLClassLoader bare = new URLClassLoader(own, ClassLoader.getPlatformClassLoader())) {
            Callable<?> reader = (Callable<?>) bare.loadClass(Reader.class.getName()).getConstructor().newInstance();
            for (int time = 0; time < 2; time++) {
                assertEquals("DeviceException: TornadoVM devices cannot be opened: devices.yaml of tornado-config is read by "
                        + "com.fasterxml.jackson.dataformat:jackson-dataformat-yaml, which is not complete on the class path; "
                        + "add it with its dependencies, as docs/embedding.md says.", reader.call());
            }
        }
    }

    /** Asks for a profile where the libraries of its class loader are all that there are. */
    public static final class Reader implements Callable<String> {
        @Override
        public String call() {
            try {
                return DeviceProfile.of(new DeviceInfo("opencl:0", "opencl", DeviceInfo.Type.CPU, "", "", "", 1000, 1000, 2, List.of())).toString();
            } catch (RuntimeException | LinkageError e) {
                return e.getClass().getSimpleName() + ": " + e.getMessage();
            }
        }
    }

    private static Map<Pass, List<String>> kernels(String... forward) {
        return Map.of(Pass.FORWARD, List.of(forward), Pass.BACKWARD, List.of("d"), Pass.DECODE, List.of("e"), Pass.SOFTMAX, List.of("f"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"[{memory_share: 0.5}]", "[{memory_share: 0.5, forward: [gpu], profiled_runs: 9}]",
        "[{memory_share: 0.5, forward: [gpu], backward: [gpu], decode: [cg], profiled_runs: 9}]",
        "[{forward: [gpu], backward: [gpu], decode: [cg], softmax: [gpu]}]", "[{memory_share: 2, forward: [gpu], backward: [gpu], decode: [cg], softmax: [gpu]}]",
        "[{memory_share: 0.5, forward: [gpu], backward: [gpu], decode: [cg], softmax: [gpu]}]",
        "[{memory_share: 0.5, forward: [gpu], backward: [gpu], decode: [cg], softmax: [gpu], profiled_runs: 0}]",
        "[{memory_share: 0.5, forward: [gpu], backward: [gpu], decode: [cg], softmax: [gpu], profiled_runs: 9, tile: 3}]", "- [", "memory_share: 0.5"})
    void wrongOnesAreToldOf(String text) {
        String message = assertThrows(InvalidInputException.class, () -> DeviceProfile.of(POCL, text)).getMessage();
        assertTrue(message.startsWith("devices.yaml of tornado-config"), message);
    }

    @Test
    void aProfileThatIsNamedAndNotThereIsToldOf(@TempDir Path folder) {
        String missing = folder.resolve("x.yaml").toString();
        assertEquals("FLASHLLA_PROFILE is " + missing + ", which does not exist; 'flashlla tune' writes it.",
                assertThrows(InvalidInputException.class, () -> UserProfile.requireThere(missing)).getMessage());
        UserProfile.requireThere(folder.toString());
        UserProfile.requireThere("");
    }

    @Test
    void theUsersOwnProfileGoesFirstAndABrokenOneIsNamedWithItsLine(@TempDir Path folder) throws IOException {
        Path own = folder.resolve("mine.yaml");
        UserProfile.use(own);
        try {
            List<String> shipped = DeviceProfile.of(POCL).kernels(Pass.FORWARD);
            assertEquals(null, DeviceProfile.chosenBy(POCL, Pass.FORWARD), "no file is no profile");
            Files.writeString(own, "# mine\n- backend: opencl\n  hardware: \"" + POCL.hardware() + "\"\n  forward: [parallel, cpu]\n");
            assertEquals(List.of("parallel", "cpu"), DeviceProfile.of(POCL).kernels(Pass.FORWARD));
            assertEquals(own.toAbsolutePath(), DeviceProfile.chosenBy(POCL, Pass.FORWARD));
            assertEquals("the profile " + own.toAbsolutePath() + ", line 4,", DeviceProfile.namedIn(POCL, Pass.FORWARD, "cpu"));
            assertEquals(null, DeviceProfile.chosenBy(POCL, Pass.BACKWARD));
            assertEquals("devices.yaml of tornado-config", DeviceProfile.namedIn(POCL, Pass.BACKWARD, "cpu"));
            assertEquals("other kernels in the profile " + own.toAbsolutePath(), DeviceProfile.otherOrder(POCL, Pass.FORWARD));
            assertEquals("other kernels in devices.yaml of tornado-config", DeviceProfile.otherOrder(POCL, Pass.BACKWARD));
            DeviceProfile.forceKernel("cpu");
            assertEquals("another --kernel", DeviceProfile.otherOrder(POCL, Pass.FORWARD));
            DeviceProfile.forceKernel(null);
            assertEquals(null, DeviceProfile.chosenBy(H200, Pass.FORWARD), "another device");
            assertTrue(DeviceProfile.flags().contains("-Dflashlla.profile=" + own.toAbsolutePath()), "children use it, too");
            assertTrue(!shipped.equals(List.of("parallel", "cpu")));
            Files.writeString(own, "- backend: opencl\n  fordward: [cpu]\n");
            InvalidInputException e = assertThrows(InvalidInputException.class, () -> DeviceProfile.of(POCL));
            assertTrue(e.getMessage().startsWith("the profile " + own.toAbsolutePath() + " does not read at line 2: ") && e.getMessage().contains("fordward")
                    && e.getMessage().contains("forward") && !e.getMessage().contains("io.github") && e.getMessage().lines().count() == 1, e.getMessage());
            Files.writeString(own, "- backend: opencl\n  forward: [tile, [cpu]]\n");
            assertEquals("the profile " + own.toAbsolutePath() + " does not read at line 2: the value of 'forward' is of the wrong kind.",
                    assertThrows(InvalidInputException.class, () -> DeviceProfile.of(POCL)).getMessage());
            Files.writeString(own, "backend\n");
            assertEquals("the profile " + own.toAbsolutePath() + " does not read at line 1: it is no list of entries.",
                    assertThrows(InvalidInputException.class, () -> DeviceProfile.of(POCL)).getMessage());
        } finally {
            UserProfile.use(null);
        }
    }
}
