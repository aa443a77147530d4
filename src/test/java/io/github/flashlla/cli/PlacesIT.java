package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.BuiltKernels;
import io.github.flashlla.cli.Launcher.Run;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** {@code bin/flashlla} where folders, locales, disks and files are not as it would like them. */
@Timeout(600)
class PlacesIT {
    private static final Path ARRAY = Launcher.ROOT.resolve("src/test/resources/golden/decode/q.npy");

    @TempDir
    Path folder;

    @Test
    void startsUnderCdpathAndThroughALinkedFolder() throws IOException {
        Path decoy = Files.createDirectories(folder.resolve("decoy"));
        Files.createDirectories(decoy.resolve("fl"));
        Files.createSymbolicLink(folder.resolve("fl"), Launcher.ROOT.resolve("bin"));
        Run run = new Launcher(folder).with("CDPATH", ".:" + decoy).script(Path.of("fl/flashlla")).run("--version");
        assertEquals(0, run.status(), run.err());
        assertEquals("", run.err());
        assertTrue(run.out().startsWith("flashlla "), run.out());
    }

    @Test
    void aColonInTheCheckoutsPathIsASentence() throws IOException {
        Path bin = Files.createDirectories(folder.resolve("a:b/bin"));
        for (String file : List.of("flashlla", "find-jdk")) {
            Files.copy(Launcher.ROOT.resolve("bin/" + file), bin.resolve(file), java.nio.file.StandardCopyOption.COPY_ATTRIBUTES);
        }
        Run run = new Launcher(folder).script(bin.resolve("flashlla")).run("--version");
        assertEquals(1, run.status());
        assertEquals(1, run.err().lines().count(), run.err());
        assertTrue(run.err().startsWith("flashlla: ") && run.err().contains("colon"), run.err());
    }

    @Test
    void aCheckoutMayHaveAnyName() throws Exception {
        String command = "mkdir 'flä lä' && cp -r '" + Launcher.ROOT + "/bin' 'flä lä' && for part in target bench tornado-config; do ln -s '"
                + Launcher.ROOT + "'/$part 'flä lä'; done; LC_ALL=C FLASHLLA_NO_BUILD=1 'flä lä/bin/flashlla' verify --device jvm --random 3 --seed 1 >&2;"
                + " LC_ALL=C FLASHLLA_NO_BUILD=1 TORNADOVM_HOME=\"$(printf '/\\377')\" 'flä lä/bin/flashlla' devices";
        Shell shell = shell(command);
        assertEquals(0, shell.status, shell.err);
        assertTrue(shell.out.contains("| jvm "), shell.out + shell.err);
        assertTrue(shell.out.contains("- opencl, spirv, ptx, cuda: TORNADOVM_HOME is"), shell.out);
    }

    @Test
    void anAsciiLocaleNamesEveryFile() throws Exception {
        String command = "mkdir ö && cp '" + ARRAY + "' ö/ä.npy && cd ö && LC_ALL=C '" + Launcher.ROOT
                + "/bin/flashlla' compare ä.npy; LC_ALL=C TORNADOVM_HOME=$PWD/é '" + Launcher.ROOT + "/bin/flashlla' devices; '"
                + Launcher.ROOT + "/bin/flashlla' compare \"$(printf '\\377')\"";
        Shell shell = shell(command);
        assertFalse(shell.err.contains("does not exist") || shell.err.contains("mistake") || shell.err.contains("java.nio"), shell.err);
        assertTrue(shell.err.contains("ä.npy is not"), shell.err);
        assertTrue(shell.err.contains("is no name in"), shell.err);
        assertTrue(shell.out.contains("jvm"), shell.out + shell.err);
    }

    @Test
    void resultsThatCannotBeWrittenFailEveryCommand() throws Exception {
        assumeTrue(Files.exists(Path.of("/dev/full")), "this system has no /dev/full");
        for (String command : List.of("--version", "generate-completion", "devices", "doctor", "help run",
                "compare '" + Launcher.ROOT + "/src/test/resources/records/jvm.json'",
                "bench --device jvm --seq 16 --heads 1 --head-dim 8 -r 1 --warm-up 0.1 --format json")) {
            Shell shell = shell("'" + Launcher.ROOT + "/bin/flashlla' " + command + " > /dev/full");
            assertEquals(1, shell.status, command + ": " + shell.err);
            assertTrue(shell.err.contains("standard output cannot be written"), command + ": " + shell.err);
        }
    }

    @Test
    void aDamagedSdkHidesNoOtherDevice() throws IOException {
        BuiltKernels.assume();
        Path jars = Files.createDirectories(folder.resolve("sdk/share/java/tornado"));
        Files.write(jars.resolve("tornado-runtime.jar"), new byte[1000]);
        Launcher launcher = new Launcher(folder).with("TORNADOVM_HOME", folder.resolve("sdk").toString());
        Run devices = launcher.run("devices");
        assertEquals(0, devices.status(), devices.err());
        assertTrue(devices.out().contains("| jvm "), devices.out());
        assertTrue(devices.out().contains("- opencl, spirv, ptx, cuda: the TornadoVM SDK at"), devices.out());
        Run doctor = launcher.run("doctor");
        assertEquals(1, doctor.status(), doctor.err());
        assertTrue(doctor.out().contains("cannot be read") && !doctor.err().contains("mistake"), doctor.out() + doctor.err());
        Run bench = launcher.run("bench", "--seq", "16", "--heads", "1", "--head-dim", "8", "-r", "1", "--warm-up", "0.1");
        assertEquals(0, bench.status(), bench.err());
    }

    @Test
    void anSdkOfAnotherVersionIsNamedAndHidesNoOtherDevice() throws IOException {
        Path jars = Files.createDirectories(folder.resolve("sdk/share/java/tornado"));
        for (String name : List.of("tornado.api", "tornado.runtime", "tornado.annotation", "tornado.drivers.common", "tornado.drivers.opencl")) {
            byte[] descriptor = java.lang.classfile.ClassFile.of().buildModule(java.lang.classfile.attribute.ModuleAttribute.of(
                    java.lang.constant.ModuleDesc.of(name), module -> module.moduleVersion("8.2.0")
                            .requires(java.lang.constant.ModuleDesc.of("java.base"), 0x8000, null)));
            try (JarOutputStream jar = new JarOutputStream(Files.newOutputStream(jars.resolve(name.replace('.', '-') + "-8.2.0.jar")))) {
                jar.putNextEntry(new ZipEntry("module-info.class"));
                jar.write(descriptor);
            }
        }
        Launcher launcher = new Launcher(folder).with("TORNADOVM_HOME", folder.resolve("sdk").toString());
        for (String command : List.of("devices", "doctor")) {
            Run run = launcher.run(command);
            assertEquals(0, run.status(), run.err());
            assertTrue(run.out().contains("version 8.2.0, but FlashLLA is built and tested for 5.2.x"), run.out());
        }
        assertTrue(launcher.run("devices").out().contains("| jvm "));
    }

    /** {@link MutatedFilesTest} reads some thousand through the same entry point; these few, each in a process of its own, go through the script and its exit status. */
    @Test
    void mutatedFilesCostASentence() throws IOException {
        Random random = new Random(MutatedFilesTest.SEED);
        byte[] array = Files.readAllBytes(ARRAY);
        byte[] record = Files.readAllBytes(Launcher.ROOT.resolve("src/test/resources/records/jvm.json"));
        byte[] suite = Files.readAllBytes(Launcher.ROOT.resolve("bench/suites/quick.yaml"));
        for (int i = 0; i < 3; i++) {
            Path npy = Files.write(folder.resolve("a.npy"), MutatedFilesTest.mutate(array, 100, random));
            refused(i, "run", "--q", npy.toString(), "--k", npy.toString(), "--v", npy.toString(), "--out", "o.npy", "--grad", "none.npy", "--out-grads", ".");
            Path json = Files.write(folder.resolve("a.json"), MutatedFilesTest.mutate(record, 1 << 20, random));
            refused(i, "compare", json.toString(), "--baseline", "nobody");
            Path yaml = Files.write(folder.resolve("a.yaml"), MutatedFilesTest.mutate(suite, 1 << 20, random));
            refused(i, "bench", "--suite", yaml.toString(), "--device", "nobody");
        }
    }

    private void refused(int i, String... command) {
        Run run = new Launcher(folder).run(command);
        assertEquals(2, run.status(), command[0] + " " + i + " of seed " + MutatedFilesTest.SEED + ": " + run.err());
        assertTrue(run.err().lines().filter(line -> !line.startsWith("note: ")).count() >= 1 && !run.err().contains("\tat "), run.err());
    }

    private record Shell(int status, String out, String err) {}

    private Shell shell(String line) throws Exception {
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        ProcessBuilder builder = new ProcessBuilder("sh", "-c", line).directory(folder.toFile()).redirectOutput(out.toFile())
                .redirectError(err.toFile());
        builder.environment().put("FLASHLLA_NO_BUILD", "1");
        int status = builder.start().waitFor();
        return new Shell(status, Files.readString(out), Files.readString(err));
    }
}
