package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.BuiltKernels;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KernelChoicesTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));

    private static final String SHAPE = "1x2x48x16";

    @TempDir
    private Path folder;

    @Test
    void aFileThatIsNotThereOrIsAFolderIsNamed() {
        refuses(folder.resolve("nowhere.json"));
        refuses(folder);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "[]", "7", "\u0000\u0001\u0002", "{\"devices\": []}", "{\"devices\": [{\"name\": \"x\", \"type\": \"toaster\"}]}"})
    void aFileThatDescribesNoDevicesIsNamed(String text) throws IOException {
        Path file = folder.resolve("devices.json");
        Files.writeString(file, text);
        refuses(file);
    }

    @Test
    void aFileInNoEncodingIsNamed() throws IOException {
        Path file = folder.resolve("devices.json");
        Files.write(file, new byte[] {'{', '"', (byte) 0xff, (byte) 0xfe, '"', ':', '1', '}'});
        refuses(file);
    }

    /** What devices --kernels says runs is what a device's plans take, for every precision and preconditioner. */
    @ParameterizedTest
    @ValueSource(strings = {"jvm", "reference", "jvm+jvm"})
    void whatRunsIsWhatPlansTake(String name) {
        AttentionShape shape = KernelChoices.shape("--kernels", SHAPE);
        try (Device device = Devices.open(name)) {
            for (DataType precision : List.of(DataType.FLOAT32, DataType.FLOAT16)) {
                for (Preconditioner preconditioner : Preconditioner.values()) {
                    LlaOptions options = LlaOptions.defaults().withPrecision(precision).withPreconditioner(preconditioner);
                    String table = choices(name, "--precision", precision.name().toLowerCase(Locale.ROOT), "--precond",
                            preconditioner.name().toLowerCase(Locale.ROOT));
                    for (boolean softmax : new boolean[] {false, true}) {
                        boolean taken = true;
                        try (LlaPlan plan = softmax ? device.softmaxPlan(shape, options) : device.plan(shape, options)) {
                            assertEquals(shape, plan.shape());
                        } catch (InvalidInputException | UnsupportedOperationException e) {
                            taken = false;
                        }
                        List<String> rows = table.lines().filter(line -> line.matches("\\| " + Pattern.quote(name) + " *\\| "
                                + (softmax ? "softmax" : "forward") + " .*")).toList();
                        assertEquals(taken, rows.stream().anyMatch(row -> row.contains("| runs")), table);
                        assertEquals(!taken, rows.stream().anyMatch(row -> row.contains("| nothing runs")), table);
                    }
                }
            }
        }
    }

    /** Kernels are wanted of a device that is not here: a record may describe it. */
    @Test
    void aDeviceThatIsNotHereIsLookedForInARecord() {
        String message = assertThrows(AssertionError.class, () -> choices("nowhere:7")).getMessage();
        assertTrue(message.contains("--as FILE, such as --as bench/results/h200/float32.json"), message);
    }

    /** By name, or by the option that other commands have, before and after the shape. */
    @Test
    void onlyTheNamedDevicesAreTold() {
        for (String[] named : new String[][] {{"jvm"}, {"--device", "jvm"}, {"--device=jvm", "jvm"}}) {
            String table = choices(named);
            assertTrue(table.contains("| jvm ") && !table.contains("| reference "), table);
        }
        String both = choices("--device", "reference", "jvm");
        assertTrue(both.contains("| jvm ") && both.contains("| reference "), both);
        assertTrue(assertThrows(AssertionError.class, () -> choices("jvm", "--format", "json")).getMessage().contains("leave --format json out"));
    }

    @Test
    void partsOfACombinedDeviceAreToldToo() {
        String table = choices("jvm+reference");
        assertTrue(table.contains("| jvm ") && table.contains("| reference ") && table.contains("| jvm+reference "), table);
    }

    /** Also a pass that needs another: a float16 forward is not there on a GPU reached through OpenCL, so neither is backward. */
    @Test
    void aPassThatNothingRunsSaysSo() {
        BuiltKernels.assume();
        String record = ROOT.resolve("bench/results/h200/float32.json").toString();
        String table = choices("--as", record, "opencl", "--precision", "float16");
        assertTrue(table.lines().anyMatch(line -> line.matches(".*forward +\\| - +\\| nothing runs.*")), table);
        assertTrue(table.lines().anyMatch(line -> line.matches(".*backward +\\| - +\\| nothing runs.*")), table);
        String preconditioned = choices("--as", record, "cuda", "--precision", "float16", "--precond", "jacobi");
        assertTrue(preconditioned.lines().anyMatch(line -> line.matches(".*forward +\\| - +\\| nothing runs.*")), preconditioned);
    }

    /** Compute capability 9.0 has products of four warps; tile, which takes the same problems, is next. */
    @ParameterizedTest
    @ValueSource(strings = {"forward", "backward"})
    void fourWarpsTogetherAreFirstWhereTheyAre(String pass) {
        BuiltKernels.assume();
        String table = choices("--as", ROOT.resolve("bench/results/h200/float32.json").toString(), "cuda", "--precision", "float16");
        assertTrue(table.lines().anyMatch(line -> line.matches(".*" + pass + " +\\| warp_group +\\| runs .*")), table);
        assertTrue(table.lines().anyMatch(line -> line.matches(".*" + pass + " +\\| tile +\\| could.*")), table);
    }

    @Test
    void namesChooseAmongRecordedDevices() {
        String record = ROOT.resolve("bench/results/h200/float32.json").toString();
        String table = choices("--as", record, "ptx:0");
        assertTrue(table.contains("| ptx:0 ") && !table.contains("| cuda:0 "), table);
        String both = choices("--as", record, "ptx:0+cuda:0");
        assertTrue(both.contains("| ptx:0 ") && both.contains("| cuda:0 ") && !both.contains("| opencl:0 "), both);
        StringWriter err = new StringWriter();
        assertEquals(2, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), "devices", "--kernels", SHAPE, "--as", record, "nobody"));
        assertTrue(err.toString().contains("describes no device 'nobody'; it has "), err.toString());
    }

    /** Also kernels that no profile names, and before any device starts. */
    @Test
    void aKernelThatIsNotThereIsRefusedWithThoseThatAre() {
        BuiltKernels.assume();
        List<DeviceInfo> devices = List.of(new DeviceInfo("opencl:7", "opencl", DeviceInfo.Type.GPU, "a GPU", "its vendor", "a driver", 1L << 30, 48 << 10, 8,
                List.of(DataType.FLOAT32)));
        DeviceProfile.forceKernel("parallel");
        try {
            KernelChoices.requireKnown(devices);
            DeviceProfile.forceKernel("nonsense");
            String said = assertThrows(InvalidInputException.class, () -> KernelChoices.requireKnown(devices)).getMessage();
            assertTrue(said.startsWith("--kernel names the forward kernel 'nonsense'; there are warp_group, tile, ") && said.endsWith(", parallel."), said);
        } finally {
            DeviceProfile.forceKernel(null);
        }
    }

    /** Counts beyond an int, or a long, are refused with a sentence and not computed with. */
    @ParameterizedTest
    @ValueSource(strings = {"65536x65536x1x8", "2147483647x1x2147483647x256"})
    void shapesBeyondAllMemoryAreRefused(String shape) {
        StringWriter err = new StringWriter();
        assertEquals(2, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), "devices", "--kernels", shape, "jvm"));
        assertTrue(err.toString().contains("at most "), err.toString());
    }

    /** Work arrays of a decoding step that TornadoVM's arrays do not hold: 32768 heads with a matrix of 256 x 256 each. */
    @Test
    void decodingThatTakesTooLongArraysIsRefused() {
        BuiltKernels.assume();
        String record = ROOT.resolve("bench/results/h200/float32.json").toString();
        for (String shape : List.of("2048x16x1x256", "1048576x16x16x64", "16777216x16x1x256")) {
            StringWriter out = new StringWriter();
            assertEquals(0, FlashLla.execute(new PrintWriter(out), new PrintWriter(new StringWriter()), "devices", "--kernels", shape, "--as", record));
            assertTrue(out.toString().lines().filter(line -> line.contains("| covariance ")).allMatch(line -> line.contains("2^31")), out.toString());
        }
    }

    /** A plan goes to the covariance form at once for small ridges and short contexts, though the matrix-free form could take them. */
    @ParameterizedTest
    @CsvSource({"1x8x4096x128, 0.02, cg", "1x8x4096x128, 0.01, covariance", "1x8x100x128, 1, covariance"})
    void decodingIsChosenByRidgeAndContextToo(String shape, String ridge, String runs) {
        BuiltKernels.assume();
        StringWriter out = new StringWriter();
        assertEquals(0, FlashLla.execute(new PrintWriter(out), new PrintWriter(new StringWriter()), "devices", "--kernels", shape, "--ridge", ridge,
                "--as", ROOT.resolve("bench/results/h200/float32.json").toString(), "cuda:0"));
        assertTrue(out.toString().lines().anyMatch(line -> line.matches(".*decode +\\| " + runs + " +\\| runs .*")), out.toString());
    }

    @Test
    void moreQueriesThanKeysNeedNoMask() {
        StringWriter err = new StringWriter();
        assertEquals(2, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), "devices", "--kernels", "1x1x1x8x4x16x16", "jvm"));
        assertTrue(err.toString().contains("--no-causal"), err.toString());
        assertTrue(choices("jvm", "--no-causal").contains("| runs"));
    }

    private static String choices(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        String[] all = Stream.concat(Stream.of("devices", "--kernels", SHAPE), Arrays.stream(arguments)).toArray(String[]::new);
        assertEquals(0, FlashLla.execute(new PrintWriter(out), new PrintWriter(err), all), err.toString());
        return out.toString();
    }

    private static void refuses(Path file) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), "devices", "--kernels", "1x8x1024x64", "--as", file.toString());
        String told = err.toString().strip();
        assertEquals(2, status, told);
        assertEquals("", out.toString());
        assertTrue(told.startsWith("flashlla: ") && told.contains(file.toString()) && told.endsWith("."), told);
        assertEquals(1, told.lines().count(), told);
        assertFalse(told.contains("Exception"), told);
    }
}
