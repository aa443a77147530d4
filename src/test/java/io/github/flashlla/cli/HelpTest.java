package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.Devices;
import io.github.flashlla.process.VectorModule;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine;

/** What the program says of itself. */
class HelpTest {
    static Stream<CommandLine> commands() {
        CommandLine root = FlashLla.commandLine();
        return Stream.concat(Stream.of(root), root.getSubcommands().values().stream());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("commands")
    void everyCommandShowsExamplesThatParse(CommandLine command) {
        String examples = String.join("\n", command.getCommandSpec().usageMessage().footer()).replace("\\\n", " ");
        List<String> own = examples.lines().map(String::strip).filter(line -> line.startsWith("flashlla ")).toList();
        assertFalse(own.isEmpty(), "no example");
        for (String line : command.getCommandSpec().usageMessage().footer()) {
            assertTrue(line.length() < 80, "a line that breaks where it would not run: " + line);
        }
        for (String example : own) {
            String[] args = example.replaceFirst("flashlla ", "").replaceFirst(" >.*", "").split(" +");
            assertDoesNotThrow(() -> FlashLla.commandLine().parseArgs(args), example);
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("commands")
    void everyOptionSaysWhatHappensWithoutIt(CommandLine command) {
        for (OptionSpec option : command.getCommandSpec().options()) {
            String text = String.join(" ", option.description());
            assertFalse(text.isBlank(), option.longestName());
            boolean number = List.of(Integer.class, int.class, Double.class, double.class).contains(
                    option.typeInfo().isMultiValue() ? option.auxiliaryTypes()[0] : option.type());
            boolean optional = !List.of("--fail-on-regression").contains(option.longestName());
            assertTrue(!number || !optional || text.contains("default:"), option.longestName() + " states no default: " + text);
        }
        Run help = run(Stream.of(command.getCommandName(), "--help").filter(word -> !word.equals("flashlla")).toArray(String[]::new));
        assertEquals(0, help.status);
        assertEquals("", help.err);
        assertTrue(help.out.contains("Examples:"), help.out);
        assertFalse(help.out.contains("%") && help.out.contains("%%"), "a format that was not applied");
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("commands")
    void aCommandIsTheSameAlone(CommandLine command) {
        boolean tellsOfOthers = List.of("flashlla", "help", "generate-completion").contains(command.getCommandName());
        CommandLine root = FlashLla.commandLine(command.getCommandName(), "--help");
        assertEquals(tellsOfOthers ? FlashLla.commandLine().getSubcommands().size() : 1, root.getSubcommands().size());
        CommandLine alone = command.getParent() == null ? root : root.getSubcommands().get(command.getCommandName());
        assertEquals(command.getUsageMessage(), alone.getUsageMessage());
    }

    /** In the product's word; picocli says subcommand. */
    @Test
    void aMissingCommandIsNamedSo() {
        Run alone = run();
        assertEquals(2, alone.status);
        assertTrue(alone.err.startsWith("flashlla: a command is missing; there are run, devices, "), alone.err);
    }

    @Test
    void whatACommandHasNoPlaceForIsNamed() {
        Run two = run("flags", "opencl:0", "opencl:1");
        assertEquals(2, two.status);
        assertEquals("flashlla: 'opencl:1' is one argument too many; see 'flashlla flags --help'.", two.err.strip());
    }

    /** It needs no flags of TornadoVM, but is an order of magnitude slower without this one. */
    @Test
    void flagsNamesTheOneThatJvmNeeds() {
        Run flags = run("flags", "jvm");
        assertEquals(2, flags.status);
        assertTrue(flags.err.contains("jvm is not a TornadoVM device") && flags.err.contains(VectorModule.FLAG), flags.err);
    }

    @Test
    void devicesAreATableAndJson() throws IOException {
        Run table = run("devices");
        assertEquals(0, table.status, table.err);
        assertTrue(table.out.startsWith("| name "), table.out);
        assertTrue(table.out.lines().anyMatch(line -> line.startsWith("| jvm ")), table.out);
        assertFalse(table.out.contains("\u001b"), "colours reach the terminal");
        Run json = run("devices", "--format", "json");
        JsonNode tree = new ObjectMapper().readTree(json.out);
        assertEquals(Devices.list().stream().map(device -> device.name()).toList(),
                tree.get("devices").findValuesAsText("name"));
        for (JsonNode absence : tree.get("absences")) {
            assertFalse(absence.get("reason").asText().isBlank());
            assertTrue(table.out.lines().anyMatch(line -> line.matches("- (?:\\w+, )*" + absence.get("backend").asText() + "(?:, \\w+)*: .*")
                    && line.endsWith(absence.get("reason").asText())), table.out);
        }
        assertEquals(2, run("devices", "--format", "xml").status);
    }

    @Test
    void aWrongDeviceListsTheRightOnes() {
        for (String command : List.of("verify", "bench", "flags")) {
            Run run = run(Stream.of(command, command.equals("flags") ? "" : "--device", "quantum:0").filter(arg -> !arg.isEmpty())
                    .toArray(String[]::new));
            assertEquals(2, run.status, run.err);
            assertTrue(run.err.contains("no device matches 'quantum:0'; there are jvm, "), run.err);
            assertTrue(run.err.contains("reference") && run.err.contains("all, cpu and gpu"), run.err);
        }
    }

    private record Run(int status, String out, String err) {}

    private static Run run(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), args);
        assertTrue(Arrays.stream(args).noneMatch(String::isEmpty));
        return new Run(status, out.toString(), err.toString());
    }
}
