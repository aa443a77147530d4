package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.fleet.BundleArchive;
import io.github.flashlla.fleet.Fleet;
import io.github.flashlla.fleet.Host;
import io.github.flashlla.fleet.HostResult;
import io.github.flashlla.fleet.HostsFile;
import io.github.flashlla.fleet.Job;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.Printable;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options of {@code bench} that run it on other machines. */
final class FleetOptions {
    private static final int MOST_HOSTS = 64;
    /** Longer than hosts take to end. */
    private static final int STOP_SECONDS = 20;
    /** What says nothing without machines. */
    private static final Set<String> OF_MACHINES = Set.of("--records", "--parallel", "--resume", "--silence", "--bundle");

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    @Option(names = "--hosts", paramLabel = "FILE", description = "Run on the machines that this YAML file lists instead, through ssh or a launcher; see docs/scale.md")
    private Path hosts;

    @Option(names = "--launch", paramLabel = "COMMAND", description = "Run through this command instead, in which {} stands for what to run, such as "
            + "'srun --gres=gpu:1 {}'")
    private String launch;

    @Option(names = "--records", paramLabel = "DIR", defaultValue = "fleet",
            description = "With --hosts or --launch: folder for each host's record and log (default: ${DEFAULT-VALUE})")
    private Path records;

    @Option(names = "--parallel", paramLabel = "N", description = "With --hosts: most machines at once (default: all, 64 at most)")
    private Integer parallel;

    @Option(names = "--resume", description = "With --hosts or --launch: leave machines alone whose record is complete")
    private boolean resume;

    @Option(names = "--silence", paramLabel = "S", defaultValue = "600",
            description = "With --hosts or --launch: give a machine up that gives no sign for this many seconds (default: ${DEFAULT-VALUE})")
    private double silence;

    @Option(names = "--bundle", paramLabel = "FILE", description = "With --hosts or --launch: send this bundle (default: one of this program, packed once)")
    private Path bundle;

    boolean asked() {
        return hosts != null || launch != null;
    }

    /** An option as it was typed, for another machine's command line: a flag has no value, and {@code --causal} may have one. */
    static Stream<String> words(OptionSpec option) {
        if (option.arity().max() == 0) {
            return Boolean.FALSE.equals(option.getValue()) ? Stream.of() : Stream.of(option.longestName());
        }
        return Stream.of(option.longestName() + "=" + String.join(",", option.originalStringValues()));
    }

    /** @throws InvalidInputException if an option has nothing to do with the others */
    void requireFits() {
        if (launch != null && !launch.contains(Host.PLACE)) {
            throw new InvalidInputException("--launch '" + Printable.text(launch) + "' has no {}, which stands for the command to run there.");
        }
        if (hosts != null && launch != null) {
            throw new InvalidInputException("--hosts and --launch exclude each other: a host of the file may have a 'launch' of its own.");
        }
        if (!(silence > 0) || parallel != null && (parallel < 1 || parallel > MOST_HOSTS)) {
            throw new InvalidInputException("--silence must be above 0, and --parallel 1 to " + MOST_HOSTS + ".");
        }
        if (!asked()) {
            WrongUsage.requireNone(command, "other machines are asked for by --hosts or --launch; name one of them, or", OF_MACHINES::contains);
        }
    }

    /** Runs the job everywhere; Ctrl-C ends what runs, and what is there is returned. */
    List<HostResult> run(Job job, Consumer<String> told, Consumer<List<HostResult>> report) {
        HostsFile file = hosts != null ? HostsFile.read(hosts)
                : new HostsFile(null, List.of(new Host(null, null, null, launch, null, null, null)));
        int most = parallel != null ? parallel : file.parallel() != null ? file.parallel() : Math.min(MOST_HOSTS, file.hosts().size());
        Fleet fleet = new Fleet(file.hosts(), most, records, resume);
        CountDownLatch reported = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
            fleet.stop();
            try {
                reported.await(STOP_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        try {
            List<HostResult> results = fleet.run(job, () -> bundle != null ? BundleArchive.of(bundle) : BundleArchive.ofThisProgram(jar(), told),
                    JavaCommand.root().toAbsolutePath(), silence, told);
            report.accept(results);
            return results;
        } finally {
            reported.countDown();
        }
    }

    private static Path jar() {
        try {
            return Path.of(FleetOptions.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
