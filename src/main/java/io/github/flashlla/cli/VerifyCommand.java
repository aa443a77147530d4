package io.github.flashlla.cli;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornadovm.DeviceJvm;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomVerification.Drawing;
import io.github.flashlla.verify.RandomVerification;
import io.github.flashlla.verify.Verification.Outcome;
import io.github.flashlla.verify.Verification;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code verify}: checks devices against float64. */
@Command(name = "verify", sortOptions = false,
        description = "Check devices against float64, on test vectors and on random problems that differ every time. "
                + "Exit status 1 if an answer is wrong.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla verify", "  flashlla verify --device all", "  flashlla verify --device opencl:0 --seed 7",
            "  flashlla verify --device jvm --format json -o checks.json", "  flashlla verify --random 1000 --minutes 5 --save wrong"})
public final class VerifyCommand implements Callable<Integer> {
    private static final double MOST_MINUTES = 1e6;
    private static final int MOST_PARTS = 8;
    private static final int CORES_PER_PART = 2;
    /** Of the device's; a driver takes some hundred MiB for each process. */
    private static final long BYTES_PER_PART = 4L << 30;
    private static final Duration TELL_EVERY = Duration.ofSeconds(10);

    @Option(names = "--device", split = ",", paramLabel = "NAME", defaultValue = "jvm", completionCandidates = DeviceNames.class,
            description = "Devices: names, backends, or the groups cpu, gpu and all, which leave out the reference (default: ${DEFAULT-VALUE})")
    private List<String> devices;

    @Option(names = "--golden", paramLabel = "DIR", description = "Folder of test vectors, one folder per case with case.json and .npy files (default: "
            + "those of this project)")
    private Path golden;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the random problems, to repeat a wrong one (default: a new one)")
    private Long seed;

    @Option(names = "--random", paramLabel = "N", description = "Check this many random problems of every kind "
            + "instead: sizes, options, modes and numbers are all drawn (default: the test vectors and a few problems)")
    private Long random;

    @Option(names = "--minutes", paramLabel = "M", description = "Stop the random problems after this many minutes "
            + "(default: when all are done)")
    private Double minutes;

    @Option(names = "--save", paramLabel = "DIR", description = "Folder for the arrays of random problems that are wrong, each with the "
            + "command that runs it (default: they are not kept)")
    private Path save;

    enum Format { md, json }

    @Option(names = "--format", paramLabel = "FORM", description = "Form of the result: ${COMPLETION-CANDIDATES} (default: md, a line for each check as it "
            + "ends); not with --random")
    private Format format;

    @Option(names = "--part", hidden = true, arity = "2", paramLabel = "N",
            description = "Which of how many parts of the checks to run, as a JVM of several side by side (default: 0 1, all of them)")
    private int[] part = {0, 1};

    @Mixin
    private ResultOptions result;

    @Spec
    private CommandSpec spec;

    private Format form;
    /** Every device's checks, where they are not printed as they end. */
    private final List<DeviceChecks> all = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();

    /**
     * What {@code --format json} holds of a device.
     *
     * @param passed how many checks passed
     */
    record DeviceChecks(String device, String hardware, long seed, long passed, List<Check> checks) {}

    /** @param error null where something was not written, or not finite */
    record Check(String name, String pass, AttentionShape shape, Double error, double bar, int iterations, boolean ok, String failure) {
        static Check of(Outcome outcome) {
            return new Check(outcome.name(), outcome.pass(), outcome.shape(), Double.isFinite(outcome.error()) ? outcome.error() : null,
                    outcome.bar(), outcome.iterations(), outcome.ok(), outcome.failure());
        }
    }

    /** What {@code --format json} holds. */
    record Checks(List<DeviceChecks> devices) {}

    @Override
    public Integer call() {
        form = result.format(format, Format.md);
        requireFits();
        Map<String, Path> outputs = new LinkedHashMap<>();
        result.addTo(outputs);
        outputs.values().stream().filter(Objects::nonNull).forEach(OutputFile::requireWritable);
        List<GoldenCase> cases = random != null ? List.of() : GoldenCase.all(golden == null ? ownVectors() : golden);
        long used = seed == null ? ThreadLocalRandom.current().nextLong(1, 1_000_000) : seed;
        int status = 0;
        for (DeviceInfo info : Devices.select(devices)) {
            try {
                // a device in a JVM of its own verifies itself there, with the same seed
                List<String> again = again(info, used);
                Optional<JavaCommand> java = DeviceJvm.neededFor(List.of(info));
                status = Math.max(status, java.isPresent() ? elsewhere(java.get(), info, again, cases)
                        : random != null ? verifyRandom(info, used) : verify(info, cases, used));
            } catch (DeviceException e) {
                spec.commandLine().getErr().println("flashlla: " + e.getMessage());
                status = Math.max(status, 1);
            }
        }
        if (random == null) {
            if (form == Format.json) {
                result.print(ResultJson.text(new Checks(all)));
            } else if (result.isFile()) {
                result.print(text.toString());
            }
        }
        return status;
    }

    /** In a JVM of its own, whose result comes back in a file if it is not to be printed as it comes. */
    private int elsewhere(JavaCommand java, DeviceInfo info, List<String> line, List<GoldenCase> cases) {
        int parts = random == null ? parts(info) : 1;
        if (parts > 1) {
            return inParts(java, info, line, Verification.names(cases), parts);
        }
        if (random != null || form == Format.md && !result.isFile()) {
            return CommandRelay.run(java, info.name(), FlashLla.class, line);
        }
        try (ScratchFolder folder = new ScratchFolder("verify")) {
            Path file = folder.resolve("checks");
            List<String> again = new ArrayList<>(line);
            again.addAll(List.of("--format", form.name(), "--output", file.toString()));
            int status = CommandRelay.run(java, info.name(), FlashLla.class, again);
            if (Files.exists(file) && form == Format.json) {
                all.addAll(ResultJson.read(file, Checks.class).devices());
            } else if (Files.exists(file)) {
                text.append(Files.readString(file));
            }
            return status;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Checks on a GPU wait for compilers, each of which uses a core or two of the host. */
    private static int parts(DeviceInfo info) {
        long fit = Math.min(Runtime.getRuntime().availableProcessors() / CORES_PER_PART, info.memoryBytes() / BYTES_PER_PART);
        return info.type() == DeviceInfo.Type.GPU ? (int) Math.clamp(fit, 1, MOST_PARTS) : 1;
    }

    /** The checks split among JVMs side by side. */
    private int inParts(JavaCommand java, DeviceInfo info, List<String> line, List<String> names, int parts) {
        List<CompletableFuture<DeviceChecks>> running = new ArrayList<>();
        try (ScratchFolder folder = new ScratchFolder("verify"); ExecutorService threads = Executors.newFixedThreadPool(parts)) {
            for (int n = 0; n < parts; n++) {
                Path file = folder.resolve("checks" + n);
                List<String> again = new ArrayList<>(line);
                again.addAll(List.of("--part", Integer.toString(n), Integer.toString(parts), "--format", "json", "--output", file.toString()));
                running.add(CompletableFuture.supplyAsync(() -> partOf(java, info, again, file), threads));
            }
            List<DeviceChecks> ended = running.stream().map(CompletableFuture::join).toList();
            List<Check> checks = ended.stream().flatMap(one -> one.checks().stream())
                    .sorted(Comparator.comparingInt(check -> names.indexOf(check.name()))).toList();
            DeviceChecks whole = new DeviceChecks(info.name(), ended.getFirst().hardware(), ended.getFirst().seed(),
                    checks.stream().filter(Check::ok).count(), checks);
            begin(whole.device(), whole.hardware(), whole.seed());
            checks.forEach(this::say);
            return end(whole);
        } catch (CompletionException e) {
            throw e.getCause() instanceof DeviceException failure ? failure : e;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static DeviceChecks partOf(JavaCommand java, DeviceInfo info, List<String> line, Path file) {
        CommandRelay.run(java, info.name(), FlashLla.class, line);
        if (!Files.exists(file)) {
            throw new DeviceException("a JVM that verified " + info.name() + " ended without a result; see what it said above.");
        }
        try {
            return ResultJson.read(file, Checks.class).devices().getFirst();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void requireFits() {
        if (random != null && (form != Format.md || result.isFile())) {
            throw new InvalidInputException("--format and --output are for the checks, not for --random.");
        }
        if (random == null && (minutes != null || save != null)) {
            throw new InvalidInputException((minutes != null ? "--minutes" : "--save") + " is for --random.");
        }
        if (random != null && golden != null) {
            throw new InvalidInputException("--random and --golden exclude each other: random problems, or test vectors.");
        }
        if (random != null && random < 1) {
            throw new InvalidInputException("--random must be at least 1, not " + random + ".");
        }
        if (minutes != null && !(minutes > 0 && minutes <= MOST_MINUTES)) {
            throw new InvalidInputException("--minutes must be above 0 and at most " + (long) MOST_MINUTES + ", not " + minutes + ".");
        }
    }

    private List<String> again(DeviceInfo info, long used) {
        List<String> again = new ArrayList<>(List.of("verify", "--device", info.name(), "--seed", Long.toString(used)));
        add(again, "--golden", golden);
        add(again, "--random", random);
        add(again, "--minutes", minutes);
        add(again, "--save", save);
        return again;
    }

    private static void add(List<String> line, String option, Object value) {
        if (value != null) {
            line.addAll(List.of(option, value.toString()));
        }
    }

    private int verifyRandom(DeviceInfo info, long used) {
        PrintWriter out = spec.commandLine().getOut();
        Duration atMost = Duration.ofMillis((long) ((minutes == null ? MOST_MINUTES : minutes) * 60_000));
        Drawing drawing = info.has(DeviceInfo.Trait.ON_HEAP) ? Drawing.ALL_DIFFERENT : Drawing.FEW_SHAPES;
        Counting counting = new Counting(info.name(), used);
        Runtime.getRuntime().addShutdownHook(new Thread(counting::cut));
        try (Device device = Devices.open(info.name())) {
            RandomVerification counts = RandomVerification.run(device, random, used, atMost, drawing, counting);
            if (random > 1) {
                counts.coverage().forEach(line -> out.println(info.name() + ": " + line));
            }
            out.println(info.name() + ": " + counts.summary(used));
            out.flush();
            return counts.wrong() == 0 ? 0 : 1;
        } finally {
            counting.ended = true;
        }
    }

    /** Prints wrong answers as they come, the counts from time to time, and the counts so far if the run is interrupted. */
    private final class Counting implements RandomVerification.Listener {
        private final String device;
        private final long used;
        private final long began = System.nanoTime();
        private long told = began;
        private volatile RandomVerification counts = RandomVerification.NONE;
        private volatile boolean ended;

        Counting(String device, long used) {
            this.device = device;
            this.used = used;
        }

        @Override
        public void failed(RandomVerification.Failure failure) {
            PrintWriter out = spec.commandLine().getOut();
            out.println("wrong: " + failure.drawn());
            out.println("  " + failure.check());
            if (failure.smallest() != failure.drawn()) {
                out.println("  still wrong: " + failure.smallest());
            }
            out.println("  " + RandomVerification.command(device, failure.drawn()));
            if (save != null) {
                out.println("  saved in " + RandomVerification.save(save, device, failure));
            }
            out.flush();
        }

        @Override
        public void progress(RandomVerification soFar) {
            counts = soFar;
            long now = System.nanoTime();
            if (now - told >= TELL_EVERY.toNanos()) {
                told = now;
                PrintWriter err = spec.commandLine().getErr();
                err.println(device + ": " + soFar.summary(used) + ", after " + (now - began) / 1_000_000_000 + " s");
                err.flush();
            }
        }

        private void cut() {
            if (!ended) {
                PrintWriter out = spec.commandLine().getOut();
                counts.coverage().forEach(line -> out.println(device + ": " + line));
                out.println(device + ": cut after " + counts.summary(used));
                out.flush();
            }
        }
    }

    private int verify(DeviceInfo info, List<GoldenCase> cases, long used) {
        begin(info.name(), info.hardware(), used);
        List<Check> checks = new ArrayList<>();
        try (Device device = Devices.open(info.name())) {
            long[] told = {System.nanoTime()};
            Verification.run(device, cases, used, part[0], part[1], outcome -> {
                Check check = Check.of(outcome);
                checks.add(check);
                say(check);
                if ((form == Format.json || result.isFile()) && System.nanoTime() - told[0] > TELL_EVERY.toNanos()) {
                    told[0] = System.nanoTime();
                    spec.commandLine().getErr().println(info.name() + ": " + Numbers.count(checks.size(), "check") + " done, now " + outcome.name());
                    spec.commandLine().getErr().flush();
                }
            });
        }
        return end(new DeviceChecks(info.name(), info.hardware(), used, checks.stream().filter(Check::ok).count(), checks));
    }

    private void begin(String device, String hardware, long used) {
        say("%s (%s), seed %d%n", device, hardware, used);
        say("  %-16s %-8s %-52s %9s %9s %5s%n", "case", "pass", "shape", "error", "bar", "iter");
    }

    private void say(Check check) {
        say("  %-16s %-8s %-52s %9.1e %9.0e %5d  %s%n", check.name(), check.pass(), check.shape(),
                check.error() == null ? Double.NaN : check.error(), check.bar(), check.iterations(),
                check.ok() ? "ok" : check.failure() == null ? "MISS" : "FAILED: " + check.failure());
    }

    private int end(DeviceChecks checks) {
        say("%s: %d of %s passed%s%n", checks.device(), checks.passed(), Numbers.count(checks.checks().size(), "check"),
                checks.checks().stream().noneMatch(check -> check.pass().equals("backward")) ? "; it has no backward pass" : "");
        all.add(checks);
        return checks.passed() == checks.checks().size() ? 0 : 1;
    }

    /** A line of the text: at once on standard output, or kept for the file. */
    private void say(String line, Object... values) {
        String formatted = String.format(Locale.ROOT, line, values);
        if (form == Format.md && !result.isFile()) {
            spec.commandLine().getOut().print(formatted);
            spec.commandLine().getOut().flush();
        }
        text.append(formatted);
    }

    private static Path ownVectors() {
        Path root = JavaCommand.root();
        return Stream.of(root.resolve("src/test/resources/golden"), root.resolve("golden")).filter(Files::isDirectory).findFirst()
                .orElseThrow(() -> new InvalidInputException("there are no test vectors beside this program; name their folder with --golden."));
    }
}
