package io.github.flashlla.cli;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.experiment.ExperimentProgress;
import io.github.flashlla.experiment.ExperimentRun;
import io.github.flashlla.experiment.Experiments;
import io.github.flashlla.experiment.TrainingLibrary;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Terminal;
import io.github.flashlla.tornadovm.DeviceJvm;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code experiment}: the paper's claims, one command each. */
@Command(name = "experiment", sortOptions = false, abbreviateSynopsis = true,
        description = {
            "Run one of the paper's experiments, LLA on a device of your choice.",
            "The result goes to standard output as markdown, progress to standard error. Exit status 1 if something does not "
                    + "hold that the experiment expects to."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  flashlla experiment list",
            "  flashlla experiment test-time-regression --quick",
            "  flashlla experiment test-time-regression --device opencl:0 -o results",
            "  flashlla experiment bias-variance --seeds 1,2,3 -o results"})
public final class ExperimentCommand implements Callable<Integer> {
    private static final String LIST = "list";

    @Parameters(paramLabel = "NAME", completionCandidates = Names.class, description = "The experiment; list shows what there is")
    private String name;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "jvm", completionCandidates = DeviceNames.class,
            description = "The device that LLA runs on (default: ${DEFAULT-VALUE})")
    private String device;

    @Option(names = {"--seeds", "--seed"}, split = ",", paramLabel = "N",
            description = "Seeds to run (default: the experiment's own)")
    private List<Long> seeds;

    @Option(names = "--quick", description = "A smaller run that shows the same in little time")
    private boolean quick;

    @Option(names = {"-o", "--output"}, paramLabel = "DIR",
            description = "Also write record.json, README.md and the figures to this folder; what an interrupted run of the same left there is taken up "
                    + "(default: none is written)")
    private Path output;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        if (name.equals(LIST)) {
            WrongUsage.requireNoOptions(spec, "list shows what there is and runs nothing;");
            MarkdownTable table = new MarkdownTable("experiment", "question", "trains a model");
            Experiments.questions().forEach((experiment, question) -> table.add(experiment, question, Experiments.trains(experiment) ? "yes" : "no"));
            out.print(table.fitting(Terminal.isOutput() ? Terminal.width() : Integer.MAX_VALUE));
            out.flush();
            return 0;
        }
        Experiments.requireKnown(name);
        if (seeds != null && new HashSet<>(seeds).size() < seeds.size()) {
            throw new InvalidInputException("--seeds names a seed twice");
        }
        DeviceInfo info = OneDevice.of(device);
        Optional<JavaCommand> java = DeviceJvm.neededFor(List.of(info));
        if (Experiments.trains(name) && !TrainingLibrary.isPresent()) {
            java = Optional.of(TrainingLibrary.addTo(DeviceJvm.of(info), System.err::println));
        }
        return java.isPresent() ? CommandRelay.run(java.get(), info.name(), FlashLla.class, again(info)) : measure(info, out);
    }

    private int measure(DeviceInfo info, PrintWriter out) {
        ExperimentRun run = new ExperimentRun(name, quick, output);
        Thread interrupted = Thread.ofPlatform().unstarted(() -> System.err.println(System.lineSeparator() + "flashlla: interrupted; " + (output == null
                ? "nothing was kept, which --output would have" : "what is done is in " + output + ", and the same command goes on from there") + "."));
        Runtime.getRuntime().addShutdownHook(interrupted);
        try (Device opened = Devices.open(info.name()); ExperimentProgress progress = new ExperimentProgress(System.err)) {
            ExperimentRun.Result result = run.run(opened, seeds == null ? run.defaultSeeds() : seeds, progress);
            progress.close();
            out.print(result.markdown());
            out.flush();
            return result.holds() ? 0 : 1;
        } finally {
            forget(interrupted);
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            return; // the JVM is going down, and the hook runs
        }
    }

    private List<String> again(DeviceInfo info) {
        List<String> again = new ArrayList<>(List.of("experiment", name, "--device", info.name()));
        if (seeds != null) {
            again.addAll(List.of("--seeds", seeds.stream().map(String::valueOf).collect(Collectors.joining(","))));
        }
        if (quick) {
            again.add("--quick");
        }
        if (output != null) {
            again.addAll(List.of("--output", output.toString()));
        }
        return again;
    }

    static final class Names extends ArrayList<String> {
        Names() {
            super(Experiments.questions().keySet());
            add(LIST);
        }
    }
}
