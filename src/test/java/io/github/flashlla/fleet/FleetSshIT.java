package io.github.flashlla.fleet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.fleet.HostResult.State;
import io.github.flashlla.record.RecordFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Hosts that are this machine, through ssh's own client and server. The bundle is a small one that starts this build. */
@Timeout(300)
class FleetSshIT {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();
    private static final double SILENCE = 60;
    private static final int MOST_WAITS = 3000;

    @TempDir
    private Path folder;
    private BundleArchive bundle;
    private final List<String> told = Collections.synchronizedList(new ArrayList<>());

    @BeforeEach
    void pack() throws IOException, InterruptedException {
        Path program = Files.createDirectories(folder.resolve("pack/flashlla/bin")).resolve("flashlla");
        Files.writeString(program, """
                #!/bin/sh
                exec '%s' '-Dflashlla.test.fleet=%s' '-Dflashlla.root=%s' \\
                    --add-exports=java.base/jdk.internal.module=ALL-UNNAMED --enable-native-access=ALL-UNNAMED -cp '%s' \\
                    io.github.flashlla.cli.FlashLla "$@"
                """.formatted(Path.of(System.getProperty("java.home"), "bin/java"), folder, ROOT, System.getProperty("java.class.path")));
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwxr-xr-x"));
        Path archive = folder.resolve("bundle.tar.xz");
        assertEquals(0, new ProcessBuilder("tar", "-cJf", archive.toString(), "-C", folder.resolve("pack").toString(), "flashlla").start().waitFor());
        bundle = BundleArchive.of(archive);
    }

    private Host host(String name, SshServer server) {
        return new Host(name, System.getProperty("user.name") + "@127.0.0.1", server.options(), null, null, List.of("jvm"), folder.resolve("there").toString());
    }

    private static Job job(String... arguments) {
        return new Job(List.of(arguments), null, null);
    }

    private List<HostResult> run(Fleet fleet, Job job, double silence) {
        return fleet.run(job, () -> bundle, ROOT, silence, told::add);
    }

    /** Processes that the bundle started, and what they started. */
    private List<ProcessHandle> running() {
        return ProcessHandle.allProcesses().filter(process -> process.info().commandLine().filter(line -> line.contains("flashlla.test.fleet=" + folder))
                .isPresent()).toList();
    }

    private void assertNothingRuns() throws InterruptedException {
        for (int i = 0; i < 100 && !running().isEmpty(); i++) {
            Thread.sleep(100);
        }
        assertEquals(List.of(), running().stream().map(ProcessHandle::info).toList());
    }

    @Test
    void oneHostDiesInTheMiddle() throws IOException, InterruptedException {
        assumeTrue(SshServer.isHere(), "OpenSSH's server is not on this machine");
        try (SshServer first = new SshServer(folder.resolve("a")); SshServer second = new SshServer(folder.resolve("b"))) {
            List<Host> hosts = List.of(host("alpha", first), host("beta", second));
            Path records = folder.resolve("records");
            Thread killer = Thread.ofVirtual().start(() -> {
                for (int i = 0; i < MOST_WAITS && !Files.exists(records.resolve("beta.jsonl")); i++) {
                    sleep(20);
                }
                second.die();
            });
            Job job = job("--heads", "1", "--seq", "32,1024", "--head-dim", "16", "--repetitions", "3", "--warm-up", "3");
            List<HostResult> results = run(new Fleet(hosts, 2, records, false), job, SILENCE);
            killer.join();
            assertEquals(State.DONE, results.get(0).state(), results.get(0).reason() + told);
            assertEquals(2, results.get(0).record().orElseThrow().measurements().size());
            assertTrue(results.get(0).record().get().complete());
            assertEquals("alpha", results.get(0).record().get().name());
            assertEquals(State.FAILED, results.get(1).state());
            assertTrue(results.get(1).reason().startsWith("the connection ended with status 255"), results.get(1).reason());
            assertFalse(results.get(1).reason().contains("127.0.0.1"), results.get(1).reason());
            assertEquals(1, RecordFile.read(records.resolve("beta.json"), note -> { }).measurements().size());
            assertFalse(RecordFile.read(records.resolve("beta.json"), note -> { }).complete());
            assertNothingRuns();
            try (Stream<Path> there = Files.list(folder.resolve("there"))) {
                assertEquals(List.of(bundle.hash()), there.map(file -> file.getFileName().toString()).toList());
            }

            try (SshServer again = new SshServer(folder.resolve("c"))) {
                told.clear();
                results = run(new Fleet(List.of(hosts.get(0), host("beta", again)), 1, records, true), job, SILENCE);
                assertEquals(List.of(State.KEPT, State.DONE), results.stream().map(HostResult::state).toList(), told::toString);
                assertEquals(2, RecordFile.read(records.resolve("beta.json"), note -> { }).measurements().size());
                assertFalse(told.contains("beta: sending the bundle"), told.toString());
            }
        }
    }

    @Test
    void aStopKeepsWhatIsThere() throws IOException, InterruptedException {
        assumeTrue(SshServer.isHere(), "OpenSSH's server is not on this machine");
        try (SshServer server = new SshServer(folder.resolve("a"))) {
            Path records = folder.resolve("records");
            Fleet fleet = new Fleet(List.of(host("alpha", server), host("late", server)), 1, records, false);
            Thread stopper = Thread.ofVirtual().start(() -> {
                for (int i = 0; i < MOST_WAITS && !Files.exists(records.resolve("alpha.jsonl")); i++) {
                    sleep(20);
                }
                fleet.stop();
            });
            List<HostResult> results = run(fleet, job("--heads", "1", "--seq", "32,1024,2048", "--head-dim", "16", "--repetitions", "3", "--warm-up", "3"), SILENCE);
            stopper.join();
            assertEquals(List.of(State.STOPPED, State.STOPPED), results.stream().map(HostResult::state).toList());
            assertFalse(RecordFile.read(records.resolve("alpha.json"), note -> { }).measurements().isEmpty());
            assertEquals("not started", results.get(1).reason());
            assertNothingRuns();
        }
    }

    /** As Slurm's srun or kubectl exec is used. */
    @Test
    void aLauncherIsGivenTheCommand() throws InterruptedException {
        Host launched = new Host(null, null, null, "env FROM=launcher {}", null, List.of("jvm"), folder.resolve("there").toString());
        List<HostResult> results = run(new Fleet(List.of(launched), 1, folder.resolve("records"), false),
                job("--heads", "1", "--seq", "32", "--head-dim", "8", "--repetitions", "2", "--warm-up", "0"), SILENCE);
        assertEquals(State.DONE, results.getFirst().state(), results.getFirst().reason());
        assertEquals("launched", results.getFirst().host());
        assertNothingRuns();
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
