package io.github.flashlla.cli;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.bench.BenchmarkListener;
import io.github.flashlla.bench.BenchmarkRun;
import io.github.flashlla.bench.Grid;
import io.github.flashlla.bench.Mode;
import io.github.flashlla.bench.Operator;
import io.github.flashlla.bench.ProgressDisplay;
import io.github.flashlla.bench.Protocol;
import io.github.flashlla.bench.Suite;
import io.github.flashlla.bench.Task;
import io.github.flashlla.bench.host.HostLoad;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.ComparisonPage;
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
            "  flashlla bench --device all --seq 1024,2048,4096,8192 \\",
            "    --record here.json --html here.html",
            "  flashlla bench --suite bench/suites/quick.yaml --format json -o record.json",
            "  flashlla bench --seq 4096 --ridge 1,0.1 --tol 1e-3,1e-5 -r 10 --format csv",
            "  flashlla bench --mode memory --heads 1 --seq 512,1024,2048,4096",
            "  flashlla bench --mode decode --context 1024,16384,131072 --batch 1,16"})
public final class BenchCommand implements Callable<Integer> {

    enum Format { md, csv, json, jsonl }

    @Option(names = "--device", split = ",", paramLabel = "NAME", completionCandidates = DeviceNames.class,
            description = "Devices: names, backends, cpu, gpu or all (default: jvm, and every GPU there is)")
    private List<String> devices;

    @Option(names = "--suite", paramLabel = "FILE",
            description = "Read shapes, options, devices, repetitions and time limit from this YAML or JSON file; see "
                    + "bench/suites")
    private Path suiteFile;

    @Option(names = "--mode", split = ",", paramLabel = "MODE",
            description = "Passes to time: fwd, bwd (backward alone), fwd+bwd, or decode (one query per head against a "
                    + "key/value cache of --context tokens, stored as --dtype), naive (forward with all matrices in "
                    + "memory), or memory: naive, fwd, fwd+bwd and decode, whose working sets are measured on the jvm "
                    + "(default: fwd)",
            converter = ModeConverter.class, completionCandidates = Modes.class)
    private List<Mode> mode;

    @Option(names = "--operator", split = ",", paramLabel = "OP",
            description = "What to compute: lla, or softmax, forward on the jvm only, to see what LLA costs beyond it (default: lla)",
            converter = OperatorConverter.class, completionCandidates = Operators.class)
    private List<Operator> operator;

    @Option(names = {"--seq", "--context"}, split = ",", paramLabel = "N",
            description = "Key length Sk in tokens, and query length Sq too unless --query-seq is given or the mode is "
                    + "decode (default: 1024,4096)")
    private List<Integer> seq;

    @Option(names = "--query-seq", split = ",", paramLabel = "N",
            description = "Query length Sq in tokens (default: as --seq)")
    private List<Integer> querySeq;

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

    @Option(names = "--causal", arity = "1", split = ",", paramLabel = "BOOL", description = "true or false (default: true)")
    private List<Boolean> causal;

    @Option(names = "--kernel", paramLabel = "NAME",
            description = "Forward kernel of TornadoVM's devices, in place of the choice that devices --kernels shows; parallel is the "
                    + "plain one, which shows what tuning is worth")
    private String kernel;

    @Option(names = "--dtype", split = ",", paramLabel = "T", completionCandidates = ElementTypes.class,
            description = "Element type of q, k and v: float32, float16 or bfloat16 (default: float32)")
    private List<String> dtype;

    @Option(names = {"-r", "--repetitions"}, paramLabel = "N",
            description = "Timed runs of each workload (default: at least 5; short runs are repeated for 2 s in all, "
                    + "or 6 s if their times scatter)")
    private Integer repetitions;

    @Option(names = "--warm-up", paramLabel = "S",
            description = "Longest wait for run times to settle, in seconds (default: 3)")
    private Double warmUp;

    @Option(names = "--time-limit", paramLabel = "S",
            description = "Stop a workload after this many seconds and record it as timed out (default: 300)")
    private Double timeLimit;

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

    @Spec
    private CommandSpec spec;

    /** The form of the result. */
    private Format form;

    /** Why the record could not be written the last time, or null. */
    private String recordFailure;

    @Override
    public Integer call() {
        form = result.format(format, Format.md);
        table.requireTable(form == Format.md);
        Suite suite = suite();
        List<DeviceInfo> chosen = suite.devices() == null ? defaultDevices() : Devices.select(suite.devices());
        if (kernel != null) {
            chosen.stream().filter(device -> Backend.of(device.name()) == null).findFirst().ifPresent(other -> {
                throw new InvalidInputException("--kernel is for TornadoVM's devices; leave " + other.name() + " out with --device.");
            });
            DeviceProfile.forceKernel(kernel);
        }
        requireWritable();
        HostLoad.complaint().ifPresent(complaint -> System.err.println("note: " + complaint));

        CountDownLatch printed = new CountDownLatch(1);
        try (ProgressDisplay display = new ProgressDisplay(System.err, suite.tasks(), chosen.size())) {
            BenchmarkRun run = new BenchmarkRun(suite, chosen, new Listeners(display));
            // Ctrl-C ends what runs now, and lets this thread print what is done
            Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
                run.stop();
                await(printed);
            }));
            BenchmarkRecord record = run.run();
            display.close();
            finish(record);
            if (recordFailure != null) {
                System.err.println("flashlla: " + recordFailure + "; the results above are all there is of it.");
                return 1;
            }
            return record.complete() && record.measurements().stream().allMatch(m -> m.status() == Status.OK) ? 0 : 1;
        } finally {
            printed.countDown();
        }
    }

    private void finish(BenchmarkRecord record) {
        keep(record);
        switch (form) {
            case md -> result.print(RecordRenderer.markdown(record, table.layout(result.isOnTerminal())));
            case csv -> result.print(RecordRenderer.csv(record));
            case json -> result.print(RecordJson.text(record));
            case jsonl -> result.printRest();
        }
        if (html != null && !record.measurements().isEmpty()) {
            ComparisonPage.write(html, Comparison.of(List.of(new Named(record.name(), record)), null, Clock.WALL,
                    null), System.err::println);
        }
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
            suite = Suite.read(suiteFile);
        } else {
            Grid grid = new Grid(mode, batch, heads, kvHeads, seq, querySeq, headDim, solver.ridge(), causal, solver.tolerance(),
                    solver.maxIterations(), solver.preconditioner(), solver.precision(), dtype, operator);
            suite = new Suite("bench", null, grid.tasks(), Protocol.DEFAULT);
        }
        Protocol protocol = suite.protocol();
        protocol = repetitions == null ? protocol : protocol.withExactly(repetitions);
        protocol = warmUp == null ? protocol : protocol.withWarmUp(warmUp);
        protocol = timeLimit == null ? protocol : protocol.withTimeLimit(timeLimit);
        return new Suite(name == null ? suite.name() : name, devices == null ? suite.devices() : devices, suite.tasks(),
                protocol);
    }

    private void requireNoLists() {
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptionsSet()) {
            if (!option.splitRegex().isEmpty() && !option.longestName().equals("--device")) {
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

    static final class ElementTypes extends ArrayList<String> {
        ElementTypes() {
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

    /** Passes everything on to the display, and prints lines as they come. */
    private final class Listeners implements BenchmarkListener {
        private final ProgressDisplay display;

        Listeners(ProgressDisplay display) {
            this.display = display;
        }

        @Override
        public void opening(String device) {
            display.opening(device);
        }

        @Override
        public void started(String device, Task task, long pid) {
            display.started(device, task, pid);
        }

        @Override
        public void phase(String phase) {
            display.phase(phase);
        }

        @Override
        public void measured(Task task, Measurement measurement, BenchmarkRecord soFar) {
            display.measured(task, measurement, soFar);
            keep(soFar);
            if (form == Format.jsonl) {
                result.printLine(RecordJson.line(soFar, measurement));
            }
        }
    }
}
