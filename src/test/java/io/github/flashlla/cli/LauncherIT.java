package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.cli.Launcher.Run;
import io.github.flashlla.io.Npy;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The program as people start it: {@code bin/flashlla} in a process of its own. */
@Timeout(600)
class LauncherIT {
    private static final Path ATTENTION = Launcher.ROOT.resolve("bench/data/attention");

    @TempDir
    Path folder;

    @Test
    void computesFromAnywhereThroughALink() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("lla"), Launcher.ROOT.resolve("bin/flashlla"));
        Run run = new Launcher(folder).script(link).run(attention("--ridge", "0.1", "--verify", "--stats", "s.json"));
        assertEquals(0, run.status(), run.err());
        assertEquals("", run.err());
        Matcher line = Pattern.compile("B=1 H=4 Hkv=4 Sq=1024 Sk=1024 D=64 Dv=64 on jvm: [0-9.]+ ms, iterations \\d+/[0-9.]+/\\d+ "
                + "\\(min/mean/max\\), worst residual [0-9.e-]+, (?:\\d+ quer(?:y|ies) in float64, )?error ([0-9.e-]+) against float64 on 256 queries\n")
                .matcher(run.out());
        assertTrue(line.matches(), run.out());
        assertTrue(Double.parseDouble(line.group(1)) <= 1e-4, run.out());
        assertEquals(1024, Npy.read(folder.resolve("o.npy")).dim(2));
        assertTrue(Files.readString(folder.resolve("s.json")).contains("\"wall_ms\""));
    }

    @Test
    void exitStatusesAreThoseOfTheManual() {
        Run miss = new Launcher(folder).run(attention("--verify", "--max-iter", "1"));
        assertEquals(1, miss.status(), miss.err());
        assertFalse(Files.exists(folder.resolve("o.npy")));
        for (String wrong : List.of("run --q no.npy --k no.npy --v no.npy --out o.npy", "nonsense", "run", "bench --seq x",
                "compare no.json", "verify --device nobody", "flags jvm", "")) {
            Run run = new Launcher(folder).run(wrong.isEmpty() ? new String[0] : wrong.split(" "));
            assertEquals(2, run.status(), wrong + ": " + run.err());
            assertEquals(1, run.err().lines().count(), wrong + ": " + run.err());
            assertEquals("", run.out(), wrong);
        }
        assertEquals(0, new Launcher(folder).run("--help").status());
        assertTrue(new Launcher(folder).run("--version").out().matches("flashlla \\d+\\.\\d+\\.\\d+\n"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"INT", "TERM", "HUP"})
    void aSignalLeavesNothingHalfWritten(String signal) throws Exception {
        Path place = Files.createDirectory(folder.resolve("place"));
        Files.writeString(place.resolve("o.npy"), "old");
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        Process process = new Launcher(folder).start(out, err, attention("--out", place.resolve("o.npy").toString(), "--stats",
                place.resolve("s.json").toString(), "--ridge", "1e-9", "--tol", "1e-12", "--max-iter", "100000000"));
        await(() -> names(place).size() == 3, process); // the old output, and two files in the making
        assumeHeeds(process, signal);
        signal(process.pid(), signal);
        assertTrue(process.waitFor(30, TimeUnit.SECONDS), "it goes on");
        assertEquals(128 + switch (signal) {
            case "HUP" -> 1;
            case "INT" -> 2;
            default -> 15;
        }, process.exitValue());
        assertEquals(List.of("o.npy"), names(place));
        assertEquals("old", Files.readString(place.resolve("o.npy")));
        assertEquals("", new Launcher(folder).ended(process, out, err).out());
    }

    @Test
    void killedProcessOfADeviceCostsOneRow() throws Exception {
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        Process process = new Launcher(folder).start(out, err, "bench", "--device", "jvm,reference", "--seq", "64,96,128", "--heads", "1",
                "--head-dim", "16", "-r", "2", "--warm-up", "0.5", "--format", "csv", "--record", "record.json", "--html", "page.html");
        Pattern second = Pattern.compile("\\[2/6] jvm: .* \\(process (\\d+)\\)");
        Matcher[] started = new Matcher[1];
        await(() -> (started[0] = second.matcher(Files.readString(err))).find(), process);
        signal(Long.parseLong(started[0].group(1)), "KILL");
        assertTrue(process.waitFor(120, TimeUnit.SECONDS));
        Run run = new Launcher(folder).ended(process, out, err);
        assertEquals(1, run.status(), run.err());
        BenchmarkRecord record = RecordFile.read(folder.resolve("record.json"), note -> { });
        assertTrue(record.complete());
        assertEquals(List.of(Status.OK, Status.CRASHED, Status.OK, Status.OK, Status.OK, Status.OK),
                record.measurements().stream().map(Measurement::status).toList());
        assertTrue(record.measurements().get(1).message().contains("signal 9"), record.measurements().get(1).message());
        assertTrue(run.out().contains("CRASHED") || run.out().contains("crashed"), run.out());
        String page = Files.readString(folder.resolve("page.html"));
        assertTrue(page.contains("<svg") && page.contains("signal 9"));
    }

    @Test
    void interruptedBenchmarkKeepsWhatIsDone() throws Exception {
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        Process process = new Launcher(folder).start(out, err, "bench", "--device", "jvm", "--seq", "64,8192", "--heads", "8", "-r", "100",
                "--warm-up", "0.1", "--record", "record.json");
        await(() -> Files.exists(folder.resolve("record.json")), process);
        assumeHeeds(process, "INT");
        signal(process.pid(), "INT");
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        Run run = new Launcher(folder).ended(process, out, err);
        assertEquals(130, run.status(), run.err());
        assertTrue(run.out().contains("1x8x64x64") && run.out().contains("cut short"), run.out());
        BenchmarkRecord record = RecordFile.read(folder.resolve("record.json"), note -> { });
        assertFalse(record.complete());
        assertEquals(1, record.measurements().size());
        assertEquals(List.of("record.json"), names(folder));
    }

    @Test
    void completionCompletes() throws Exception {
        Run script = new Launcher(folder).run("generate-completion");
        assertEquals(0, script.status(), script.err());
        Path file = Files.writeString(folder.resolve("completion.sh"), script.out());
        assertEquals("none jacobi", complete(file, "run --precond ''"));
        assertEquals("fwd+bwd", complete(file, "bench --mode fwd+"));
        assertEquals("run", complete(file, "ru"));
        assertTrue(complete(file, "bench --device ''").startsWith("jvm reference all cpu gpu opencl opencl:0"));
    }

    @Test
    void withoutAJdkThereIsOneSentence() throws Exception {
        assumeTrue(isolated("true").status() == 0, "mount namespaces are not allowed here");
        for (String command : List.of("bin/flashlla --version", "./mvnw -v")) {
            Run run = isolated("cd '" + Launcher.ROOT + "' && " + command);
            assertEquals(1, run.status(), run.err());
            assertEquals("flashlla: no JDK 25 or later was found; install one (for example 'sdk install java 25-tem') or set "
                    + "JAVA_HOME to it.\n", run.err());
        }
        Run wrong = new Launcher(folder).with("FLASHLLA_JAVA_HOME", "/nowhere").run("--version");
        assertEquals(1, wrong.status());
        assertTrue(wrong.err().startsWith("flashlla: FLASHLLA_JAVA_HOME is /nowhere"), wrong.err());
    }

    @Test
    void chartsNeedNeitherFontsNorFontconfig() throws Exception {
        String hide = "mkdir none; for place in /usr/share/fonts /usr/local/share/fonts /etc/fonts; do [ ! -d $place ] || mount --bind none "
                + "$place; done; for library in /usr/lib/*/libfontconfig.so.1; do [ ! -e $library ] || mount --bind /dev/null "
                + "$(readlink -f $library); done; FLASHLLA_NO_BUILD=1; export FLASHLLA_NO_BUILD; ";
        Path err = folder.resolve("err.txt");
        Process process = new ProcessBuilder("unshare", "-r", "-m", "sh", "-c", hide + "'" + Launcher.ROOT + "/bin/flashlla' compare '"
                + Launcher.ROOT + "/src/test/resources/records/jvm.json' --html page.html").directory(folder.toFile())
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(err.toFile()).start();
        process.waitFor();
        assumeFalse(Files.readString(err).startsWith("unshare:"), "mount namespaces are not allowed here");
        assertEquals(0, process.exitValue(), Files.readString(err));
        assertTrue(Files.readString(folder.resolve("page.html")).contains("<svg"), Files.readString(err));
    }

    /** The script's part of building, with a Maven that only puts the jar there. */
    @Test
    void buildsWhenSourcesAreNewerAndOnlyThen() throws Exception {
        Path checkout = checkout();
        Launcher launcher = new Launcher(folder).script(checkout.resolve("bin/flashlla")).with("FLASHLLA_NO_BUILD", null);
        Run first = launcher.run("--version");
        assertEquals(0, first.status(), first.err());
        assertTrue(first.err().startsWith("flashlla: building"), first.err());
        assertEquals(1, first.err().lines().count(), first.err());
        assertEquals("", launcher.run("--version").err());

        Files.setLastModifiedTime(checkout.resolve("src/main/java/A.java"), FileTime.from(Instant.now().plusSeconds(5)));
        assertTrue(launcher.run("--version").err().startsWith("flashlla: building"));
        Files.setLastModifiedTime(checkout.resolve("src/main/java/A.java"), FileTime.from(Instant.now().minusSeconds(60)));
        Files.setLastModifiedTime(checkout.resolve("src/main/java"), FileTime.from(Instant.now().plusSeconds(5)));
        assertTrue(launcher.run("--version").err().startsWith("flashlla: building"), "a file was deleted");
        Files.setLastModifiedTime(checkout.resolve("src/main/java"), FileTime.from(Instant.now().minusSeconds(60)));

        Path lock = Files.createDirectory(checkout.resolve("target/.building"));
        Files.writeString(lock.resolve("pid"), "999999999");
        Files.setLastModifiedTime(checkout.resolve("pom.xml"), FileTime.from(Instant.now().plusSeconds(5)));
        Run stale = launcher.run("--version");
        assertEquals(0, stale.status(), stale.err());
        assertTrue(stale.err().startsWith("flashlla: building"), stale.err());
        assertFalse(Files.exists(lock));
        Files.setLastModifiedTime(checkout.resolve("pom.xml"), FileTime.from(Instant.now().minusSeconds(60)));

        Files.delete(checkout.resolve("target/flashlla.jar"));
        Files.writeString(checkout.resolve("mvnw"), "#!/bin/sh\necho '[ERROR] A.java:[3,1] ; expected'\nexit 1\n");
        Run broken = launcher.run("--version");
        assertEquals(1, broken.status());
        assertTrue(broken.err().contains("; expected") && broken.err().contains("the build failed"), broken.err());
        assertFalse(Files.exists(lock));
    }

    @Test
    void aCheckoutThatCannotBeWrittenRunsTheBuildThatIsThere() throws Exception {
        Path checkout = checkout();
        Launcher launcher = new Launcher(folder).script(checkout.resolve("bin/flashlla")).with("FLASHLLA_NO_BUILD", null);
        assertEquals(0, launcher.run("--version").status());
        Files.setLastModifiedTime(checkout.resolve("pom.xml"), FileTime.from(Instant.now().plusSeconds(5)));
        assertTrue(checkout.resolve("target").toFile().setWritable(false));
        try {
            assumeFalse(Files.isWritable(checkout.resolve("target")), "this user may write everywhere");
            Run run = launcher.run("--version");
            assertEquals(0, run.status(), run.err());
            assertTrue(run.err().contains("cannot be written; running the build that is there"), run.err());
        } finally {
            checkout.resolve("target").toFile().setWritable(true);
        }
    }

    /** A checkout in a folder with a space in its name, whose Maven copies the real jar. */
    private Path checkout() throws IOException {
        Path checkout = Files.createDirectories(folder.resolve("a checkout"));
        Files.createDirectories(checkout.resolve("src/main/java"));
        Files.createDirectory(checkout.resolve("bin"));
        for (String file : List.of("bin/flashlla", "bin/find-jdk")) {
            Files.copy(Launcher.ROOT.resolve(file), checkout.resolve(file), java.nio.file.StandardCopyOption.COPY_ATTRIBUTES);
        }
        Files.writeString(checkout.resolve("pom.xml"), "<project/>");
        Files.writeString(checkout.resolve("src/main/java/A.java"), "class A {}");
        Path maven = Files.writeString(checkout.resolve("mvnw"), "#!/bin/sh\nmkdir -p target/classes/io/github/flashlla/tornado && cp -r '"
                + Launcher.ROOT + "/target/flashlla.jar' '" + Launcher.ROOT + "/target/lib' target\n");
        assertTrue(maven.toFile().setExecutable(true));
        for (Path old : List.of(checkout.resolve("pom.xml"), checkout.resolve("src/main/java/A.java"), checkout.resolve("src/main/java"),
                checkout.resolve("src/main"))) {
            Files.setLastModifiedTime(old, FileTime.from(Instant.now().minusSeconds(60)));
        }
        return checkout;
    }

    private static String[] attention(String... more) {
        Stream<String> usual = Stream.of("run", "--q", ATTENTION.resolve("q.npy").toString(), "--k", ATTENTION.resolve("k.npy").toString(),
                "--v", ATTENTION.resolve("v.npy").toString());
        Stream<String> out = List.of(more).contains("--out") ? Stream.empty() : Stream.of("--out", "o.npy");
        return Stream.of(usual, out, Stream.of(more)).flatMap(part -> part).toArray(String[]::new);
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private static void await(Condition condition, Process process) throws Exception {
        for (int n = 0; !condition.holds(); n++) {
            assertTrue(process.isAlive() && n < 6000, "what was waited for never came");
            Thread.sleep(10);
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private static void signal(long pid, String signal) throws Exception {
        assertEquals(0, new ProcessBuilder("kill", "-" + signal, Long.toString(pid)).start().waitFor());
    }

    /** Skips the test where this process was started with the signal ignored; what the test started ends, for it may compute for hours. */
    private static void assumeHeeds(Process process, String signal) throws IOException, InterruptedException {
        if (ignores(process.pid(), signal)) {
            process.destroyForcibly().waitFor();
            assumeFalse(true, "this process was started with SIG" + signal + " ignored");
        }
    }

    private static boolean ignores(long pid, String signal) throws IOException {
        int number = List.of("", "HUP", "INT").indexOf(signal);
        return number > 0 && Files.readAllLines(Path.of("/proc", Long.toString(pid), "status")).stream()
                .filter(line -> line.startsWith("SigIgn:"))
                .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) >> (number - 1) & 1) == 1);
    }

    private String complete(Path script, String words) throws Exception {
        Process bash = new ProcessBuilder("bash", "-c", "compopt() { :; }; source '" + script + "'; COMP_WORDS=(flashlla " + words
                + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _complete_flashlla; echo \"${COMPREPLY[@]}\"").redirectErrorStream(true).start();
        String said = new String(bash.getInputStream().readAllBytes());
        bash.waitFor();
        return said.strip().replaceAll(" +", " ");
    }

    /** Runs a shell line where no JDK can be seen but an old one may be. */
    private Run isolated(String line) throws Exception {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        Path tools = Files.createDirectories(folder.resolve("tools"));
        for (String tool : List.of("sh", "cat", "dirname", "readlink", "sed", "uname")) {
            for (String place : List.of("/usr/bin/", "/bin/")) {
                if (Files.exists(Path.of(place + tool)) && !Files.exists(tools.resolve(tool))) {
                    Files.createSymbolicLink(tools.resolve(tool), Path.of(place + tool));
                }
            }
        }
        String hide = "for home in /usr/lib/jvm /opt/java; do [ ! -d $home ] || mount --bind '" + empty + "' $home; done; ";
        ProcessBuilder builder = new ProcessBuilder("unshare", "-r", "-m", "sh", "-c", hide + "PATH='" + tools + "' HOME='" + empty
                + "'; export PATH HOME; " + line).redirectOutput(folder.resolve("out.txt").toFile())
                .redirectError(folder.resolve("err.txt").toFile());
        builder.environment().keySet().removeIf(name -> name.startsWith("JAVA") || name.startsWith("FLASHLLA"));
        Process process;
        try {
            process = builder.start();
        } catch (IOException e) {
            return new Run(127, "", e.getMessage());
        }
        process.waitFor();
        return new Launcher(folder).ended(process, folder.resolve("out.txt"), folder.resolve("err.txt"));
    }
}
