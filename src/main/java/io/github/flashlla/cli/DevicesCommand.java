package io.github.flashlla.cli;

import io.github.flashlla.DeviceCombiner;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Terminal;
import io.github.flashlla.tornadovm.BackendSurvey;
import io.github.flashlla.tornadovm.SurveyedDeviceProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code devices}: what can compute here, and what could not be found and why. */
@Command(name = "devices", sortOptions = false, abbreviateSynopsis = true,
        description = "List devices, and the backends that are not here with the reason.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla devices", "  flashlla devices --refresh", "  flashlla devices --format json", "  flashlla devices --kernels 1x8x4096x128",
            "  flashlla devices --kernels 1x8x4096x64 --precision float16 \\", "    --as bench/results/h200/float32.json"})
public final class DevicesCommand implements Callable<Integer> {

    enum Format { md, json }

    private static final Set<String> OF_KERNELS = Set.of("--causal", "--no-causal", "--max-iter", "--precision", "--precond", "--ridge", "--tol");

    @Parameters(arity = "0..*", paramLabel = "NAME", completionCandidates = DeviceNames.class,
            description = "Devices to describe: names, backends, cpu, gpu, or several as one, such as cuda:0+cuda:1 (default: all there are)")
    private List<String> names;

    @Option(names = "--device", split = ",", paramLabel = "NAME", completionCandidates = DeviceNames.class, description = "The same, as other commands have it")
    private List<String> device;

    @Option(names = "--format", paramLabel = "FORM",
            description = "Form of the result: ${COMPLETION-CANDIDATES} (default: md); json has sizes in bytes, -1 where a driver does not tell")
    private Format format;

    @Mixin
    private ResultOptions result;

    @Option(names = "--refresh", description = "Ask every backend again; without it, answers of an earlier run are shown where nothing changed")
    private boolean refresh;

    @Option(names = "--kernels", paramLabel = "SHAPE", description = "Say which kernels would run for a shape, BxHxSxD or "
            + "BxHxHkvxSqxSkxDxDv, and why not the others; --precision float16 stands for a float16 cache in decoding")
    private String kernels;

    @Option(names = "--as", paramLabel = "FILE", description = "With --kernels: devices as a record of bench, or the output of "
            + "devices --format json, describes them, here or not; those that NAME names, or all")
    private Path as;

    @Mixin
    private CausalOptions causal;

    @Mixin
    private SolverOptions solver;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Format form = result.format(format, Format.md);
        if (device != null) {
            names = Stream.concat(names == null ? Stream.empty() : names.stream(), device.stream()).toList();
        }
        if (kernels != null && form != Format.md) {
            throw new InvalidInputException("--kernels prints a table for people; leave --format " + form + " out.");
        }
        if (refresh && !SurveyedDeviceProvider.inTornadoJvm()) {
            BackendSurvey.refresh();
        }
        if (as != null && kernels == null) {
            throw new InvalidInputException("--as describes devices for --kernels; name a shape with it, such as --kernels 1x8x4096x64.");
        }
        if (kernels == null) {
            WrongUsage.requireNone(spec, "what a problem is like matters to --kernels alone; name a shape with it, such as --kernels 1x8x4096x64, or",
                    OF_KERNELS::contains);
        }
        if (kernels != null) {
            result.print(KernelChoices.of(as == null ? devicesAndParts() : RecordedDevices.select(as, names), kernels, solver.only().withCausal(causal.only()),
                    result.isOnTerminal() ? Terminal.width() : Integer.MAX_VALUE));
            return 0;
        }
        List<DeviceInfo> devices = devices();
        List<Absence> absences = names == null ? Devices.absences() : List.of();
        result.print(switch (form) {
            case md -> markdown(devices, absences, result.isOnTerminal() ? Terminal.width() : Integer.MAX_VALUE);
            case json -> ResultJson.text(new Discovery(devices, absences));
        });
        return 0;
    }

    private List<DeviceInfo> devices() {
        return names == null ? Devices.list() : Devices.select(names);
    }

    /** With those that a combined device consists of. */
    private List<DeviceInfo> devicesAndParts() {
        if (names == null) {
            return Devices.list();
        }
        List<String> all = names.stream().flatMap(name -> Stream.concat(Stream.of(name),
                name.contains(DeviceCombiner.JOINER) ? Arrays.stream(name.split(Pattern.quote(DeviceCombiner.JOINER), -1)) : Stream.empty())).toList();
        try {
            return Devices.select(all);
        } catch (InvalidInputException e) {
            throw new InvalidInputException(e.getMessage().replaceFirst("\\.$", "") + "; a device that is not here is taken from a record of bench with "
                    + "--as FILE, such as --as bench/results/h200/float32.json.");
        }
    }

    private static String markdown(List<DeviceInfo> devices, List<Absence> absences, int width) {
        MarkdownTable table = new MarkdownTable("name", "type", "memory", "local memory", "units", "precisions", "hardware", "vendor",
                "driver");
        for (DeviceInfo device : devices) {
            table.add(device.name(), device.type().name().toLowerCase(Locale.ROOT), size(device.memoryBytes()),
                    size(device.localMemoryBytes()), device.computeUnits() < 0 ? "-" : Integer.toString(device.computeUnits()),
                    device.precisions().stream().map(p -> p.name().toLowerCase(Locale.ROOT)).collect(Collectors.joining(" ")),
                    device.hardware(), device.vendor(), device.driver());
        }
        StringBuilder text = new StringBuilder(table.fitting(width));
        if (!absences.isEmpty()) {
            text.append("\nAbsent:\n\n");
            BackendSurvey.byReason(absences).forEach((reason, backends) -> text.append("- ").append(backends).append(": ").append(reason).append('\n'));
        }
        return text.toString();
    }

    private static String size(long bytes) {
        return bytes < 0 ? "-" : Numbers.bytes(bytes);
    }
}
