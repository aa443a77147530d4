package io.github.flashlla.fleet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.fleet.HostResult.State;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FleetTest {
    @TempDir
    private Path folder;

    private HostsFile read(String text) throws IOException {
        return HostsFile.read(Files.writeString(folder.resolve("hosts.yaml"), text));
    }

    private String refusal(String text) {
        return assertThrows(InvalidInputException.class, () -> read(text)).getMessage().replace(folder.toString(), "DIR");
    }

    @Test
    void hostsAreReadFromYaml() throws IOException {
        HostsFile file = read("""
                parallel: 2
                hosts:
                  - {ssh: me@gpu-a.example.org, options: [-p, "2222"], device: [cuda:0, cuda:0+cuda:1]}
                  - {name: slurm, launch: "srun --gres=gpu:1 {}"}
                  - {local: true}
                """);
        assertEquals(List.of("gpu-a.example.org", "slurm", "local"), file.hosts().stream().map(Host::name).toList());
        assertEquals(2, file.parallel());
        List<String> command = file.hosts().getFirst().command("echo 'x y'");
        assertEquals(List.of("-p", "2222", "--", "me@gpu-a.example.org", "sh -c 'echo '\\''x y'\\'''"), command.subList(command.size() - 5, command.size()));
        assertEquals(List.of("sh", "-c", "exec srun --gres=gpu:1 sh -c 'true'"), file.hosts().get(1).command("true"));
    }

    @Test
    void mistakesAreSentences() {
        assertEquals("hosts file DIR/hosts.yaml: it lists no hosts, or an empty one", refusal("hosts: []"));
        assertTrue(refusal("hosts: [{name: a}]").endsWith("each host needs one of 'ssh: TARGET', 'launch: COMMAND {}' and 'local: true'"));
        assertTrue(refusal("hosts: [{launch: srun}]").contains("has no {}"));
        assertTrue(refusal("hosts: [{ssh: -oProxyCommand=x}]").contains("is no target"));
        assertTrue(refusal("hosts: [{ssh: a}, {ssh: b, name: A}]").contains("two hosts are called A"));
        assertTrue(refusal("hosts: [{ssh: a, name: ../b}]").contains("cannot name a host's file"));
        assertTrue(refusal("hosts: [{ssh: a, port: 22}]").contains("unknown key 'port'"));
    }

    /** No sign of life, no program, no server; each a result with its reason, in which an alias stands for the machine. */
    @Test
    void whateverGoesWrongIsAResult() {
        Host silent = new Host("silent", null, null, "sleep 60 # {}", null, null, null);
        Host lost = new Host("lost", null, null, "no-such-launcher {}", null, null, null);
        Host gone = new Host("gone", "127.0.0.1", List.of("-F", "/dev/null", "-p", "1"), null, null, null, null);
        List<HostResult> results = new Fleet(List.of(silent, lost, gone), 3, folder.resolve("records"), false)
                .run(new Job(List.of(), null, null), () -> new BundleArchive(Path.of("none"), "hash"), folder, 2, message -> { });
        assertEquals(List.of(State.FAILED, State.FAILED, State.FAILED), results.stream().map(HostResult::state).toList());
        assertTrue(results.get(0).reason().startsWith("gave no sign for 2 s"), results.get(0).reason());
        assertTrue(results.get(1).reason().contains("no-such-launcher"), results.get(1).reason());
        assertFalse(results.get(2).reason().isEmpty());
        assertFalse(results.get(2).reason().contains("127.0.0.1"), results.get(2).reason());
    }

    @Test
    void aLauncherThatIsMissingCostsNoBundle() {
        Host lost = new Host("lost", null, null, "no-such-launcher --gres=gpu:1 {}", null, null, null);
        List<HostResult> results = new Fleet(List.of(lost), 1, folder.resolve("lost"), false).run(new Job(List.of(), null, null), () -> {
            throw new AssertionError("a bundle was packed");
        }, Path.of("."), 60, _ -> { });
        assertEquals("this machine has no command 'no-such-launcher', with which its 'launch' begins", results.getFirst().reason());
        assertEquals("", new Host("pipe", null, null, "\"$LAUNCHER\" {}", null, null, null).launcher());
    }

    /** Nothing is packed for machines that are not there; what ssh says of a machine by its name says which name is meant. */
    @Test
    void aMachineThatIsNotReachedCostsNoBundle() {
        Host lost = new Host("lost", "me@nowhere.invalid", List.of("-o", "ProxyCommand=sh -c \"echo nowhere.invalid is off >&2; false\""), null, null, null, null);
        List<HostResult> results = new Fleet(List.of(lost), 1, folder.resolve("lost"), false).run(new Job(List.of(), null, null), () -> {
            throw new AssertionError("a bundle was packed");
        }, Path.of("."), 60, _ -> { });
        String reason = results.getFirst().reason();
        assumeFalse(reason.contains("cannot start ssh"), reason);
        assertTrue(reason.startsWith("it was not reached (status 255), saying: ") && reason.contains("lost is off")
                && reason.contains("(lost stands for what its 'ssh' says)"), reason);
    }

    @Test
    void anAliasHidesTheMachine() {
        Host host = new Host("a", "me@gpu", null, null, null, null, null);
        assertEquals("a: no route to a. gpus, gpu-1", host.hidden("me@gpu: no route to gpu. gpus, gpu-1"));
    }

    @Test
    void earlierRecordsAreNotReplaced() throws IOException {
        Files.writeString(folder.resolve("local.json"), "{}");
        Host local = new Host(null, null, null, null, true, null, null);
        String said = assertThrows(InvalidInputException.class, () -> new Fleet(List.of(local), 1, folder, false)).getMessage();
        assertTrue(said.contains("--resume"), said);
    }
}
