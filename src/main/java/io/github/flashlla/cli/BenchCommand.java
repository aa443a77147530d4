package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.bench.BenchmarkRun;
import io.github.flashlla.bench.Grid;
import io.github.flashlla.bench.Mode;
import io.github.flashlla.bench.Operator;
import io.github.flashlla.bench.ProgressDisplay;
import io.github.flashlla.bench.Protocol;
import io.github.flashlla.bench.Suite;
import io.github.flashlla.bench.Task;
import io.github.flashlla.bench.host.HostConditions;
import io.github.flashlla.bench.host.HostLoad;
import io.github.flashlla.fleet.HostResult;
import io.github.flashlla.fleet.Job;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Conditions;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.ComparisonPage;
import io.github.flashlla.report.FleetMarkdown;
import io.github.flashlla.report.RecordRenderer;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code bench}: measures workloads on devices, and never reports a time without its accuracy check. */
@Command(name = "bench", sortOptions = false, abbreviateSynopsis = true,
        description = {
            "Measure workloads on devices.",
            "Every list is comma-separated, and every combination runs. Each device runs in a process of its own. "
                    + "Results go to standard output, progress to standard error."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  flashlla bench",
            "  flashlla bench --device all --seq 1k..8k \\",
            "    --record here.json --html here.html",
            "  flashlla bench --suite quick --format json -o record.json",
            "  flashlla bench --seq 4096 --ridge 1,0.1 --tol 1e-3,1e-5 -r 10 --format csv",
            "  flashlla bench --mode memory --heads 1 --seq 512,1024,2048,4096",
            "  flashlla bench --mode decode --context 1024,16384,131072 --batch 1,16"})
public final class BenchCommand implements Callable<Integer> {

    /** Lists that go with {@code --suite}. */
    private static final Set<String> SUITE_TOO = Set.of("--device", "--columns");

    enum Format { md, csv, json, jsonl }

    @Option(names = "--device", split = ",", paramLabel = "NAME", completionCandidates = DeviceNames.class,
            description = "Devices: names, backends, or the groups cpu, gpu and all, which leave out the reference (default: jvm, and every GPU there is)")
    private List<String> devices;

    @Option(names = "--suite", paramLabel = "NAME|FILE",
            description = "Read shapes, options, devices, repetitions and time limit from bench/suites/NAME.yaml, or from "
                    + "a YAML or JSON file")
    private Path suiteFile;

    @Option(names = "--mode", split = ",", paramLabel = "MODE",
            description = "Passes to time: fwd, bwd (backward alone), fwd+bwd, or decode (one query per head against a "
                    + "key/value cache of --context tokens, stored as --dtype), naive (forward with all matrices in "
                    + "memory), or memory: naive, fwd, fwd+bwd and decode, whose working sets are measured on the jvm "
                    + "(default: fwd)",
            converter = ModeConverter.class, completionCandidates = Modes.class)
    private List<Mode> mode;

    @Option(names = "--operator", split = ",", paramLabel = "OP",
            description = "What to compute: lla, or softmax attention, forward, to see what LLA costs beyond it (default: lla)",
            converter = OperatorConverter.class, completionCandidates = Operators.class)
    private List<Operator> operator;

    @Option(names = {"--seq", "--context"}, split = ",", paramLabel = "N", converter = Lengths.Converter.class,
            description = "Key length Sk in tokens, as 1024, 1k or 1024..16384, which doubles, and query length Sq too unless --query-seq is given or the mode is "
                    + "decode (default: 1024,4096)")
    private List<Lengths> seq;

    @Option(names = "--query-seq", split = ",", paramLabel = "N", converter = Lengths.Converter.class,
            description = "Query length Sq in tokens (default: as --seq)")
    private List<Lengths> querySeq;

    @Option(names = "--head-dim", split = ",", paramLabel = "D", description = "Head dim D and Dv in elements, 1 to 256 (default: 64)")
    private List<Integer> headDim;

    @Option(names = "--batch", split = ",", paramLabel = "B", description = "Batch size in sequences (default: 1)")
    private List<Integer> batch;

    @Option(names = "--heads", split = ",", paramLabel = "H", description = "Query heads (default: 8)")
    private List<Integer> heads;

    @Option(names = "--kv-heads", split = ",", paramLabel = "HKV",
            description = "Key/value heads; must divide --heads (default: as --heads)")
    private List<Integer> kvHeads;

    @Mixin
    private SolverOptions solver;

    @Mixin
    private TargetErrors targetErrors;

    @Mixin
    private CausalOptions causal;

    @Option(names = "--kernel", paramLabel = "NAME",
            description = "Forward kernel of TornadoVM's devices, in place of the choice that devices --kernels shows; parallel is the "
                    + "plain one, which shows what tuning is worth")
    private String kernel;

    @Option(names = "--dtype", split = ",", paramLabel = "T", completionCandidates = TensorTypes.class, converter = ElementTypes.OfTensors.class,
            description = "Element type of q, k and v: float32, float16 (fp16) or bfloat16 (bf16) (default: float32)")
    private List<DataType> dtype;

    @Option(names = {"-r", "--repetitions"}, paramLabel = "N",
            description = "Timed runs of each workload (default: at least 5; short runs are repeated for 2 s in all, "
                    + "or 6 s if their times scatter)")
    private Integer repetitions;

    @Option(names = "--warm-up", paramLabel = "S",
            description = "Longest wait for run times, and for the ceilings of jvm, to settle, in seconds (default: 3)")
    private Double warmUp;

    @Option(names = "--time-limit", paramLabel = "S",
            description = "Stop a workload after this many seconds and record it as timed out (default: 300)")
    private Double timeLimit;

    @Option(names = "--cold", description = "Measure the start, too: of a fresh process with empty caches, and of one with those that it left")
    private boolean cold;

    @Option(names = "--forks", paramLabel = "N",
            description = "Processes of each device, which take turns with those of the others; with 3 and more, intervals are over processes "
                    + "(default: 1)")
    private Integer forks;

    @Option(names = "--format", paramLabel = "FORM",
            description = "Form of the result: ${COMPLETION-CANDIDATES} (default: md)")
    private Format format;

    @Mixin
    private ResultOptions result;

    @Mixin
    private TableOptions table;

    @Option(names = "--record", paramLabel = "FILE",
            description = "Also keep the record in this JSON file, replaced after every measurement so that a crash loses "
                    + "nothing")
    private Path recordFile;

    @Option(names = "--html", paramLabel = "FILE",
            description = "Also write a page with tables and charts of all devices; 'flashlla compare' makes the same "
                    + "page from records")
    private Path html;

    @Option(names = "--name", paramLabel = "NAME",
            description = "What comparisons call this record (default: the suite's name, or bench)")
    private String name;

    @Mixin
    private FleetOptions fleet;

    @Spec
    private CommandSpec spec;

    /** The form of the result. */
    private Format form;

    /** The errors to keep to. */
    private List<Double> targets;

    /** Whether every measurement is made by several processes. */
    private boolean repeats;

    /** Why the record could not be written the last time, or null. */
    private String recordFailure;
    /** Why the page could not be written, or null. */
    private String pageFailure;

    @Override
    public Integer call() {
        form = result.format(format, Format.md);
        table.requireTable(form == Format.md);
        Suite suite = suite();
        repeats = suite.protocol().forks() > 1;
        targets = suite.tasks().stream().map(Task::target).filter(Objects::nonNull).map(Task.Target::error).distinct().toList();
        fleet.requireFits();
        if (fleet.asked()) {
            return runElsewhere();
        }
        if (kernel != null) {
            suite.tasks().stream().map(Task::mode).filter(mode -> mode == Mode.DECODE || mode == Mode.NAIVE).findFirst().ifPresent(mode -> {
                throw new InvalidInputException("--kernel names a forward kernel, which the mode " + mode + " does not run; leave one of them out.");
            });
        }
        List<DeviceInfo> chosen = suite.devices() == null ? defaultDevices() : Devices.select(suite.devices());
        suite.requireSomethingFor(chosen);
        if (kernel != null) {
            chosen.stream().filter(device -> Backend.of(device.name()) == null).findFirst().ifPresent(other -> {
                throw new InvalidInputException("--kernel is for TornadoVM's devices; leave " + other.name() + " out with --device.");
            });
            DeviceProfile.forceKernel(kernel);
            KernelChoices.requireKnown(chosen);
        }
        requireWritable();
        List<String> argv = new ArrayList<>(List.of("flashlla"));
        argv.addAll(spec.root().commandLine().getParseResult().originalArgs());
        Conditions conditions = HostConditions.begin(argv);
        HostLoad.complaint(conditions.otherBusyCores()).ifPresent(complaint -> System.err.println("note: " + complaint));

        CountDownLatch printed = new CountDownLatch(1);
        try (Results display = new Results(suite.tasks(), chosen.size() * suite.protocol().forks(), suite.protocol())) {
            BenchmarkRun run = new BenchmarkRun(suite, chosen, display).under(conditions);
            // Ctrl-C ends what runs now, and lets this thread print what is done
            Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
                run.stop();
                await(printed);
            }));
            BenchmarkRecord record = run.run();
            display.close();
            finish(record);
            if (recordFailure != null) {
                spec.commandLine().getErr().println("flashlla: " + recordFailure + "; the results above are all there is of it.");
            }
            if (toldOfPage() || recordFailure != null) {
                return 1;
            }
            return record.complete() && record.measurements().stream().allMatch(m -> m.status() == Status.OK) ? 0 : 1;
        } finally {
            printed.countDown();
        }
    }

    /** What is not sent to other machines: it is said for each of them, or done here with what comes back. */
    private static final Set<String> NOT_SENT = Set.of("--device", "--suite", "--name", "--format", "--output", "--html", "--record", "--hosts",
            "--launch", "--records", "--parallel", "--resume", "--silence", "--bundle", "--columns");

    private int runElsewhere() {
        if (recordFile != null || form != Format.md || table.chosen()) {
            throw new InvalidInputException("--record, --format and --columns are one machine's; with --hosts or --launch each machine's record is in "
                    + "--records.");
        }
        requireWritable();
        List<String> arguments = spec.commandLine().getParseResult().matchedOptionsSet().stream()
                .filter(option -> !NOT_SENT.contains(option.longestName())).flatMap(FleetOptions::words).toList();
        List<HostResult> results = fleet.run(new Job(arguments, suiteFile == null ? null : Suite.text(suiteFile), devices), System.err::println, this::report);
        return !toldOfPage() && results.stream().allMatch(one -> one.reason().isEmpty() && one.record().isPresent()
                && one.record().get().measurements().stream().allMatch(m -> m.status() == Status.OK)) ? 0 : 1;
    }

    private void report(List<HostResult> results) {
        result.print(FleetMarkdown.of(results.stream().map(one -> new FleetMarkdown.Entry(one.host(), one.record().orElse(null), one.state().word(),
                one.reason())).toList()));
        List<Named> named = results.stream().filter(one -> one.record().isPresent()).map(one -> new Named(one.host(), one.record().get())).toList();
        writePage(named);
    }

    private void finish(BenchmarkRecord record) {
        keep(record);
        switch (form) {
            case md -> result.print(RecordRenderer.markdown(record, table.layout(result.isOnTerminal()), targets));
            case csv -> result.print(RecordRenderer.csv(record));
            case json -> result.print(RecordJson.text(record));
            case jsonl -> {
                if (repeats) { // a line is whole when its last process has measured it
                    record.measurements().forEach(m -> result.printLine(RecordJson.line(record, m)));
                }
                result.printRest();
            }
        }
        writePage(record.measurements().isEmpty() ? List.of() : List.of(new Named(record.name(), record)));
    }

    private void writePage(List<Named> records) {
        if (html == null || records.isEmpty()) {
            return;
        }
        try {
            ComparisonPage.write(html, Comparison.of(records, null, Clock.WALL, null), System.err::println);
        } catch (InvalidInputException e) {
            // reported at the end: measurements are not lost with it
            pageFailure = e.getMessage().replaceFirst("\\.$", "");
        }
    }

    private boolean toldOfPage() {
        if (pageFailure != null) {
            spec.commandLine().getErr().println("flashlla: " + pageFailure + "; 'flashlla compare RECORD --html FILE' makes it from the record.");
        }
        return pageFailure != null;
    }

    /** Finds out before the run, not after it, whether the output files can be written. */
    private void requireWritable() {
        Map<String, Path> outputs = new LinkedHashMap<>();
        result.addTo(outputs);
        outputs.put("--record", recordFile);
        outputs.put("--html", html);
        OutputFile.requireDistinct(outputs, suiteFile == null ? Map.of() : Map.of("--suite", suiteFile));
        outputs.values().stream().filter(Objects::nonNull).forEach(OutputFile::requireWritable);
    }

    /** Never replaces an earlier record with an empty one. */
    private void keep(BenchmarkRecord record) {
        if (recordFile == null || record.measurements().isEmpty()) {
            return;
        }
        try {
            RecordFile.write(recordFile, record);
            recordFailure = null; // the whole of it is there again
        } catch (InvalidInputException e) {
            // reported at the end, since the measurements matter more than the file
            recordFailure = e.getMessage().replaceFirst("\\.$", "");
        }
    }

    private Suite suite() {
        Suite suite;
        if (suiteFile != null) {
            requireNoLists();
            suiteFile = SuiteNames.file(suiteFile);
            suite = Suite.read(suiteFile);
        } else {
            Grid grid = new Grid(mode, batch, heads, kvHeads, Lengths.all(seq), Lengths.all(querySeq), headDim, solver.ridge(),
                    causal.values(), targetErrors.unlessChosen("--tol", solver.tolerance()), solver.maxIterations(), solver.preconditioner(),
                    targetErrors.unlessChosen("--precision", solver.precision()), SolverOptions.names(dtype), operator, targetErrors.targets());
            suite = new Suite("bench", null, grid.tasks(), Protocol.DEFAULT);
        }
        Protocol protocol = suite.protocol();
        protocol = repetitions == null ? protocol : protocol.withExactly(repetitions);
        protocol = warmUp == null ? protocol : protocol.withWarmUp(warmUp);
        protocol = forks == null ? protocol : protocol.withForks(forks);
        protocol = timeLimit == null ? protocol : protocol.withTimeLimit(timeLimit);
        protocol = cold ? protocol.withColdStart() : protocol;
        if (name != null && name.isBlank()) {
            throw new InvalidInputException("--name is empty; name the record, or leave the option out");
        }
        return new Suite(name == null ? suite.name() : name, devices == null ? suite.devices() : devices, suite.tasks(),
                protocol);
    }

    private void requireNoLists() {
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptionsSet()) {
            if ((!option.splitRegex().isEmpty() || option.longestName().equals("--no-causal")) && !SUITE_TOO.contains(option.longestName())) {
                throw new InvalidInputException(option.names()[0] + " cannot be combined with --suite; put it into the suite");
            }
        }
    }

    private static List<DeviceInfo> defaultDevices() {
        return Devices.list().stream()
                .filter(device -> device.has(DeviceInfo.Trait.ON_HEAP) && !device.has(DeviceInfo.Trait.EXACT)
                        || device.type() == DeviceInfo.Type.GPU).toList();
    }

    private static void await(CountDownLatch printed) {
        try {
            printed.await(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    static final class Modes extends ArrayList<String> {
        Modes() {
            super(Arrays.stream(Mode.values()).map(Mode::label).toList());
        }
    }

    static final class TensorTypes extends ArrayList<String> {
        TensorTypes() {
            super(List.of("float32", "float16", "bfloat16"));
        }
    }

    static final class Operators extends ArrayList<String> {
        Operators() {
            super(Operator.labels());
        }
    }

    static final class OperatorConverter implements picocli.CommandLine.ITypeConverter<Operator> {
        @Override
        public Operator convert(String value) {
            return Operator.of(value);
        }
    }

    static final class ModeConverter implements picocli.CommandLine.ITypeConverter<Mode> {
        @Override
        public Mode convert(String value) {
            return Mode.of(value);
        }
    }

    /** Shows how far the run is, keeps what is measured, and prints lines as they come. */
    private final class Results extends ProgressDisplay {
        Results(List<Task> tasks, int devices, Protocol protocol) {
            super(System.err, tasks, devices, protocol);
        }

        @Override
        public void measured(Task task, Measurement measurement, BenchmarkRecord soFar) {
            super.measured(task, measurement, soFar);
            keep(soFar);
            if (form == Format.jsonl && !repeats) {
                result.printLine(RecordJson.line(soFar, measurement));
            }
        }
    }
}
