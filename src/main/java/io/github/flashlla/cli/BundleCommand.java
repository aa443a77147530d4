package io.github.flashlla.cli;

import io.github.flashlla.bundle.Bundle;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code bundle}: this program with a Java runtime of its own in one archive. */
@Command(name = "bundle", description = {"Pack this program into one archive that runs on a Linux machine without Java.",
    "It holds a Java runtime, the program, tornado-config, test vectors, benchmark suites and, if one is installed, "
            + "the parts of the TornadoVM SDK that are needed."},
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla bundle", "  flashlla bundle --no-tornado -o small.tar.xz",
            "  scp flashlla-bundle.tar.xz gpu-box:", "  ssh gpu-box 'tar xf flashlla-bundle.tar.xz && flashlla/bin/flashlla bench'"})
public final class BundleCommand implements Callable<Integer> {
    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "flashlla-bundle.tar.xz",
            description = "Archive to write, whose name ends in .tar.xz (default: ${DEFAULT-VALUE})")
    private Path output;

    @Option(names = "--no-tornado", description = "Leave the TornadoVM SDK out")
    private boolean withoutTornado;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Bundle.write(output, !withoutTornado, message -> spec.commandLine().getErr().println(message));
        spec.commandLine().getOut().printf(Locale.ROOT, "%s: %.1f MiB%n", output, Files.size(output) / (double) (1 << 20));
        spec.commandLine().getOut().flush();
        return 0;
    }
}
