package io.github.flashlla.cli;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.launch.Relay;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code flashlla} command. Exit status: 0, or 1 where a device or a check failed, or 2 for a wrong command line or input. */
@Command(name = "flashlla", mixinStandardHelpOptions = true, versionProvider = FlashLla.Version.class,
        description = "Local Linear Attention for the JVM and, through TornadoVM, for accelerators.",
        subcommands = {RunCommand.class, DevicesCommand.class, VerifyCommand.class, BenchCommand.class, CompareCommand.class, DoctorCommand.class, BundleCommand.class,
            FlagsCommand.class, AutoComplete.GenerateCompletion.class, CommandLine.HelpCommand.class})
public final class FlashLla {
    private FlashLla() {}

    public static void main(String[] args) {
        Relay.adopt();
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new FlashLla())
                .setCaseInsensitiveEnumValuesAllowed(true)
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
