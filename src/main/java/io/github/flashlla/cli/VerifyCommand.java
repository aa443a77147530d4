package io.github.flashlla.cli;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.launch.Relay;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.Verification;
import io.github.flashlla.verify.Verification.Outcome;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code verify}: holds devices against float64. */
@Command(name = "verify", sortOptions = false,
        description = "Hold devices against float64: test vectors, and random problems that differ every time. Exit status 1 on any miss.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla verify", "  flashlla verify --device all", "  flashlla verify --device opencl:0 --seed 7"})
public final class VerifyCommand implements Callable<Integer> {

    @Option(names = "--device", split = ",", paramLabel = "NAME", defaultValue = "jvm", completionCandidates = DeviceNames.class,
            description = "Devices: names, backends, cpu, gpu or all (default: ${DEFAULT-VALUE})")
    private List<String> devices;

    @Option(names = "--golden", paramLabel = "DIR", description = "Folder of test vectors, one folder per case with case.json and .npy files (default: those of this project)")
    private Path golden;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the random problems, to see a miss again (default: a new one)")
    private Long seed;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        List<GoldenCase> cases = GoldenCase.all(golden == null ? ownVectors() : golden);
        long used = seed == null ? ThreadLocalRandom.current().nextLong(1, 1_000_000) : seed;
        int status = 0;
        for (DeviceInfo info : Devices.select(devices)) {
            try {
                // a device in a JVM of its own verifies itself there, with the same seed
                List<String> again = Stream.concat(Stream.of("verify", "--device", info.name(), "--seed", Long.toString(used)),
                        golden == null ? Stream.empty() : Stream.of("--golden", golden.toString())).toList();
                OptionalInt child = Relay.run(List.of(info), FlashLla.class, again);
                status = Math.max(status, child.isPresent() ? child.getAsInt() : verify(info, cases, used));
            } catch (DeviceException e) {
                spec.commandLine().getErr().println("flashlla: " + e.getMessage());
                status = Math.max(status, 1);
            }
        }
        return status;
    }

    private int verify(DeviceInfo info, List<GoldenCase> cases, long used) {
        PrintWriter out = spec.commandLine().getOut();
        out.printf(Locale.ROOT, "%s (%s), seed %d%n", info.name(), info.hardware(), used);
        out.printf(Locale.ROOT, "  %-16s %-8s %-52s %9s %9s %5s%n", "case", "pass", "shape", "error", "bar", "iter");
        List<Outcome> outcomes;
        try (Device device = Devices.open(info.name())) {
            outcomes = Verification.run(device, cases, used, outcome -> {
                out.printf(Locale.ROOT, "  %-16s %-8s %-52s %9.1e %9.0e %5d  %s%n", outcome.name(), outcome.pass(), outcome.shape(),
                        outcome.error(), outcome.bar(), outcome.iterations(),
                        outcome.ok() ? "ok" : outcome.failure() == null ? "MISS" : "FAILED: " + outcome.failure());
                out.flush();
            });
        }
        long missed = outcomes.stream().filter(outcome -> !outcome.ok()).count();
        out.printf(Locale.ROOT, "%s: %d of %d checks passed%s%n", info.name(), outcomes.size() - missed, outcomes.size(),
                outcomes.stream().noneMatch(outcome -> outcome.pass().equals("backward")) ? "; it has no backward pass" : "");
        out.flush();
        return missed == 0 ? 0 : 1;
    }

    private static Path ownVectors() {
        Path root = Path.of(System.getProperty("flashlla.root", "."));
        return Stream.of(root.resolve("src/test/resources/golden"), root.resolve("golden")).filter(Files::isDirectory).findFirst()
                .orElseThrow(() -> new InvalidInputException("there are no test vectors beside this program; name their folder with --golden."));
    }
}
