package io.github.flashlla.cli;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.launch.Relay;
import java.io.PrintWriter;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code flashlla} command. Exit status: 0, or 1 where a device or a check failed, or 2 for a wrong command line or input. */
@Command(name = "flashlla", mixinStandardHelpOptions = true, versionProvider = FlashLla.Version.class,
        description = "Local Linear Attention for the JVM and, through TornadoVM, for accelerators.",
        subcommands = {RunCommand.class, DevicesCommand.class, VerifyCommand.class, BenchCommand.class, CompareCommand.class,
            DoctorCommand.class, BundleCommand.class, FlagsCommand.class, AutoComplete.GenerateCompletion.class, CommandLine.HelpCommand.class})
public final class FlashLla {
    private FlashLla() {}

    public static void main(String[] args) {
        Relay.adopt();
        System.exit(commandLine().execute(args));
    }

    /**
     * Runs one command line in this JVM, as the launcher does.
     *
     * @param out for results
     * @param err for everything else
     * @return the exit status
     */
    public static int execute(PrintWriter out, PrintWriter err, String... args) {
        return commandLine().setOut(out).setErr(err).execute(args);
    }

    static CommandLine commandLine() {
        CommandLine flashlla = new CommandLine(new FlashLla());
        flashlla.getSubcommands().values().forEach(command -> command.getCommandSpec().mixinStandardHelpOptions(true));
        return flashlla
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler((e, args) -> {
                    CommandLine line = e.getCommandLine();
                    line.getErr().println("flashlla: " + e.getMessage() + "; see '" + line.getCommandSpec().qualifiedName() + " --help'.");
                    return CommandLine.ExitCode.USAGE;
                })
                .setExecutionExceptionHandler((e, line, parsed) -> {
                    if (e instanceof InvalidInputException || e instanceof DeviceException) {
                        line.getErr().println("flashlla: " + e.getMessage());
                        return e instanceof InvalidInputException ? 2 : 1;
                    }
                    throw e;
                });
    }

    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = FlashLla.class.getPackage().getImplementationVersion();
            return new String[] {"flashlla " + (version == null ? "(development)" : version)};
        }
    }
}
