package io.github.flashlla.cli;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.bench.BenchmarkListener;
import io.github.flashlla.bench.BenchmarkRun;
import io.github.flashlla.bench.Mode;
import io.github.flashlla.bench.Protocol;
import io.github.flashlla.bench.Suite;
import io.github.flashlla.bench.Task;
import io.github.flashlla.bench.TerminalBar;
import io.github.flashlla.bench.host.HostConditions;
import io.github.flashlla.bench.host.HostLoad;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Conditions;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Status;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import io.github.flashlla.tornadovm.UserProfile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code tune}: finds the fastest kernels of a device for a shape, and keeps what it found. */
@Command(name = "tune", sortOptions = false,
        description = {
            "Measure every kernel that a TornadoVM device could run for a shape, check each answer, and write the order of the fastest into your "
                    + "own profile, which goes before tornado-config. FLASHLLA_PROFILE names another file than ~/.config/flashlla/devices.yaml. A record of "
                    + "everything measured is kept beside it.",
            "A kernel must be faster by more than 3%% to replace the one that the profile names."},
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla tune --device opencl:0 --dry-run", "  flashlla tune --device opencl:0 --shape 1x8x2048x64",
            "  flashlla devices --kernels 1x8x2048x64"})
public final class TuneCommand implements Callable<Integer> {
    /** Less than this is chance: a kernel keeps its place. */
    private static final double GAIN = 1.03;
    private static final Protocol PROTOCOL = new Protocol(5, 0.5, 0.5, 60);
    /** A later kernel that has not ended by now will not be the fastest. */
    private static final double PATIENCE_SECONDS = 15;
    private static final double TOLERANCE = 1e-3;

    @Option(names = "--device", required = true, paramLabel = "NAME", completionCandidates = DeviceNames.class,
            description = "Device of TornadoVM, such as opencl:0")
    private String deviceName;

    @Option(names = "--shape", paramLabel = "SHAPE", description = "BxHxSxD or BxHxHkvxSqxSkxDxDv (default: 1x4x512x64 on a CPU, 1x16x4096x64 elsewhere)")
    private String shapeText;

    @Option(names = "--precision", paramLabel = "T", defaultValue = "float32", completionCandidates = SolverOptions.Precisions.class,
            converter = ElementTypes.OfProducts.class, description = "Type of the products' factors, forward: float32 or float16 (fp16) "
            + "(default: ${DEFAULT-VALUE})")
    private DataType precision;

    @Option(names = "--dry-run", description = "List the kernels that would be measured, and measure none")
    private boolean dryRun;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", description = "Write the profile into this file (default: your own, in which entries of other "
            + "devices stay)")
    private Path output;

    @Option(names = "--record", paramLabel = "FILE", description = "Keep the record of what was measured in this file, which compare reads (default: beside the "
            + "profile, as tune-DEVICE.json)")
    private Path recordFile;

    @Spec
    private CommandSpec spec;

    /** The record of the last measurement: each has the machine and the device anew. */
    private BenchmarkRecord last;

    /** The profile that plans use outside the trials. */
    private Path usual;

    /** One kernel of one pass, and what came of it. */
    private record Tried(Pass pass, String kernel, Measurement measurement) {
        boolean isRight() {
            return measurement.status() == Status.OK;
        }

        double ns() {
            return measurement.times().computeNs();
        }
    }

    @Override
    public Integer call() {
        usual = UserProfile.file();
        UserProfile.use(usual); // which need not be there yet
        try {
            return tune();
        } finally {
            UserProfile.use(null);
        }
    }

    private int tune() {
        DeviceInfo device = OneDevice.of(deviceName);
        if (Backend.of(device.name()) == null) {
            throw new InvalidInputException(device.name() + " has one way for every shape; tune is for devices of TornadoVM.");
        }
        LlaOptions.defaults().withPrecision(precision).requirePrecisionOf(device);
        AttentionShape shape = KernelChoices.shape("--shape", shapeText != null ? shapeText : device.type() == DeviceInfo.Type.CPU ? "1x4x512x64" : "1x16x4096x64");
        Map<Pass, List<KernelGuide.Choice>> candidates = candidates(device, shape);
        if (dryRun) {
            WrongUsage.requireNone(spec, "--dry-run measures and writes nothing;", Set.of("--output", "--record")::contains);
            print(candidates);
            return 0;
        }
        Path profile = output == null ? usual : output;
        makeFolder(profile);
        Path record = recordFile != null ? recordFile : profile.resolveSibling("tune-" + device.name().replace(':', '-') + ".json");
        OutputFile.requireDistinct(Map.of("--output", profile, "--record", record), Map.of());
        OutputFile.requireWritable(profile);
        OutputFile.requireWritable(record);
        List<String> argv = new ArrayList<>(List.of("flashlla"));
        argv.addAll(spec.root().commandLine().getParseResult().originalArgs());
        Conditions conditions = HostConditions.begin(argv);
        HostLoad.complaint(conditions.otherBusyCores()).ifPresent(complaint -> System.err.println("note: " + complaint));
        List<Tried> tried = measure(device, shape, candidates);
        if (last != null) {
            RecordFile.write(record, new BenchmarkRecord(BenchmarkRecord.SCHEMA_VERSION, "tune", last.created(), true, last.environment(),
                    conditions.ended(HostConditions.load()), last.devices(), tried.stream().map(Tried::measurement).toList()));
            spec.commandLine().getErr().println("wrote " + record);
        }
        MarkdownTable table = new MarkdownTable("pass", "kernel", "time", "error", "status");
        tried.forEach(one -> table.add(DeviceProfile.key(one.pass()), one.kernel(), one.isRight() ? Numbers.time(one.ns()) : "",
                one.isRight() ? Numbers.error(one.measurement().accuracy().error()) : "",
                one.isRight() ? "ok" : one.measurement().status().word() + ": " + one.measurement().message()));
        spec.commandLine().getOut().print(table);
        Map<Pass, List<String>> orders = orders(device, tried);
        spec.commandLine().getOut().println();
        orders.forEach((pass, order) -> spec.commandLine().getOut().println(DeviceProfile.key(pass) + ": " + change(device, pass, order, tried)));
        if (!orders.isEmpty()) {
            write(profile, entry(device, shape, record, orders));
            spec.commandLine().getErr().println("wrote " + profile);
        }
        spec.commandLine().getOut().flush();
        return orders.isEmpty() ? 1 : 0;
    }

    private Map<Pass, List<KernelGuide.Choice>> candidates(DeviceInfo device, AttentionShape shape) {
        Map<Pass, List<KernelGuide.Choice>> candidates = new LinkedHashMap<>();
        for (KernelGuide guide : ServiceLoader.load(KernelGuide.class)) {
            if (guide.knows(device)) {
                LlaOptions options = LlaOptions.defaults().withTolerance(TOLERANCE).withPrecision(precision);
                for (KernelGuide.Choice choice : guide.choices(device, shape, options)) {
                    pass(choice).ifPresent(pass -> candidates.computeIfAbsent(pass, p -> new ArrayList<>()).add(choice));
                }
            }
        }
        return candidates;
    }

    /** The pass of a kernel that is tuned: softmax is a yardstick. */
    private static Optional<Pass> pass(KernelGuide.Choice choice) {
        return List.of(Pass.FORWARD, Pass.BACKWARD, Pass.DECODE).stream().filter(pass -> DeviceProfile.key(pass).equals(choice.pass())).findFirst();
    }

    private void print(Map<Pass, List<KernelGuide.Choice>> candidates) {
        MarkdownTable table = new MarkdownTable("pass", "kernel", "measured");
        candidates.forEach((pass, choices) -> choices.forEach(choice -> table.add(choice.pass(), choice.kernel(),
                choice.refusal().isEmpty() ? "yes" : "no: " + choice.refusal())));
        spec.commandLine().getOut().print(table);
        spec.commandLine().getOut().flush();
    }

    /** Each kernel alone, by a profile that names no other. */
    private List<Tried> measure(DeviceInfo device, AttentionShape shape, Map<Pass, List<KernelGuide.Choice>> candidates) {
        List<Tried> tried = new ArrayList<>();
        long all = candidates.values().stream().flatMap(List::stream).filter(choice -> choice.refusal().isEmpty()).count();
        try (ScratchFolder folder = new ScratchFolder("tune"); TerminalBar bar = TerminalBar.open(System.err, "tune", all, null)) {
            for (Map.Entry<Pass, List<KernelGuide.Choice>> pass : candidates.entrySet()) {
                for (KernelGuide.Choice choice : pass.getValue()) {
                    if (!choice.refusal().isEmpty()) {
                        continue;
                    }
                    String what = choice.pass() + " " + choice.kernel();
                    if (bar != null) {
                        bar.say(what);
                    } else {
                        System.err.println("[" + (tried.size() + 1) + "/" + all + "] " + what);
                    }
                    Path one = Files.writeString(folder.resolve("one.yaml"), matching(device) + "  " + choice.pass() + ": [" + choice.kernel() + "]\n");
                    UserProfile.use(one);
                    last = new BenchmarkRun(new Suite("tune", null, List.of(task(pass.getKey(), shape)),
                            tried.stream().anyMatch(earlier -> earlier.pass() == pass.getKey() && earlier.isRight())
                            ? PROTOCOL.withTimeLimit(PATIENCE_SECONDS) : PROTOCOL),
                            List.of(device), new BenchmarkListener() { }).run();
                    tried.add(new Tried(pass.getKey(), choice.kernel(), last.measurements().getFirst().withKernel(choice.kernel())));
                    if (bar != null) {
                        bar.stepTo(tried.size());
                    }
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            UserProfile.use(usual);
        }
        return tried;
    }

    private Task task(Pass pass, AttentionShape s) {
        LlaOptions options = LlaOptions.defaults().withTolerance(TOLERANCE);
        boolean half = precision == DataType.FLOAT16;
        return switch (pass) {
            case FORWARD -> new Task(Mode.FWD, s, options.withPrecision(precision), half ? DataType.FLOAT16 : DataType.FLOAT32);
            case BACKWARD -> new Task(Mode.BWD, s, options, DataType.FLOAT32);
            case DECODE -> new Task(Mode.DECODE, new AttentionShape(s.batch(), s.heads(), s.kvHeads(), 1, s.keyLength(), s.headDim(), s.valueDim()), options,
                    half ? DataType.FLOAT16 : DataType.FLOAT32);
            case SOFTMAX -> throw new IllegalStateException("softmax is not tuned");
        };
    }

    /**
     * Kernels of each pass, the fastest first, and those that failed behind them. What was not measured, such as a kernel of another precision, keeps its
     * place in the profile's order.
     */
    private static Map<Pass, List<String>> orders(DeviceInfo device, List<Tried> tried) {
        Map<Pass, List<String>> orders = new LinkedHashMap<>();
        for (Pass pass : Pass.values()) {
            List<Tried> own = tried.stream().filter(one -> one.pass() == pass).toList();
            List<Tried> right = own.stream().filter(Tried::isRight).toList();
            if (!right.isEmpty()) {
                Tried first = right.getFirst(); // in the profile's order, so that this one runs now
                List<String> measured = new ArrayList<>(right.stream().sorted(Comparator.comparingDouble(one -> one == first ? one.ns() / GAIN : one.ns()))
                        .map(Tried::kernel).toList());
                own.stream().filter(one -> !one.isRight()).map(Tried::kernel).forEach(measured::add);
                orders.put(pass, reordered(DeviceProfile.of(device).kernels(pass), measured));
            }
        }
        return orders;
    }

    /** The same names, in the places of the measured ones these in this order. */
    static List<String> reordered(List<String> profile, List<String> measured) {
        Iterator<String> next = measured.iterator();
        return profile.stream().map(kernel -> measured.contains(kernel) ? next.next() : kernel).toList();
    }

    private static String change(DeviceInfo device, Pass pass, List<String> order, List<Tried> tried) {
        List<Tried> right = tried.stream().filter(one -> one.pass() == pass && one.isRight()).toList();
        Tried before = right.getFirst();
        Tried now = order.stream().flatMap(kernel -> right.stream().filter(one -> one.kernel().equals(kernel))).findFirst().orElseThrow();
        return before == now ? now.kernel() + " stays first" : now.kernel() + " goes first, " + Numbers.digits(before.ns() / now.ns()) + " times as fast as "
                + before.kernel();
    }

    private static String matching(DeviceInfo device) {
        return "- backend: " + device.backend() + "\n  hardware: \"" + device.hardware().replace("\\", "\\\\").replace("\"", "\\\"") + "\"\n";
    }

    private static String entry(DeviceInfo device, AttentionShape shape, Path record, Map<Pass, List<String>> orders) {
        StringBuilder text = new StringBuilder("# flashlla tune --device " + device.name() + ", " + shape + ", measured in " + record.getFileName() + "\n"
                + matching(device));
        orders.forEach((pass, order) -> text.append("  ").append(DeviceProfile.key(pass)).append(": [").append(String.join(", ", order)).append("]\n"));
        return text.toString();
    }

    /** Adds the entry at the end, where it goes before everything else; what was there stays. */
    private static void write(Path profile, String entry) {
        try (OutputFile file = OutputFile.create(profile)) {
            String before = Files.exists(profile) ? Files.readString(profile) : "";
            Files.writeString(file.temporary(), before + (before.isEmpty() || before.endsWith("\n") ? "" : "\n") + entry);
            file.commit();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void makeFolder(Path profile) {
        try {
            if (profile.toAbsolutePath().getParent() != null) {
                Files.createDirectories(profile.toAbsolutePath().getParent());
            }
        } catch (IOException e) {
            throw new InvalidInputException("the folder of " + profile + " cannot be made (" + e.getMessage() + "); name another file with --output.");
        }
    }
}
