package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.PackedPlan;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.OutputFiles;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.tornadovm.ClassArchive;
import io.github.flashlla.tornadovm.DeviceJvm;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GradientSample;
import io.github.flashlla.verify.PackedSample;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

/** {@code run}: Local Linear Attention from .npy files to .npy files. */
@Command(name = "run", sortOptions = false, abbreviateSynopsis = true, modelTransformer = SolverOptions.OneValueEach.class,
        defaultValueProvider = RunCommand.Defaults.class,
        description = {
            "Compute Local Linear Attention of tensors in files.",
            "A file is .npy, or a .safetensors or .npz file with a tensor's name after a colon, as in model.safetensors:layer.0.q; a pipe "
                    + "may hold any of these, as in /dev/stdin:layer.0.q. It holds float16, bfloat16, float32 or float64, little-endian, C order, of shape "
                    + "(length, dim), "
                    + "(heads, length, dim) or (batch, heads, length, dim). Outputs have the rank of the file that they belong "
                            + "to. Prints shape, device, kernel or decoding method where the device has several, time, iterations of the queries' solves, and their "
                            + "worst residual.",
            "If there are fewer queries than keys, the queries are the last tokens, as at the end of a cache. One "
                    + "query per head without --grad is computed as a decoding step; its solve may be direct, which "
                    + "counts as 0 iterations."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  cd bench/data/attention",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out /tmp/o.npy --verify",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out /tmp/o.npy \\",
            "    --ridge 0.1 --tol 1e-3 --device opencl:0 --stats /tmp/stats.json",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out o.npy \\",
            "    --grad g.npy --out-grads gradients",
            "  flashlla run --q a.safetensors:q --k a.safetensors:k --v a.safetensors:v \\",
            "    --out o.safetensors --out-type input"})
public final class RunCommand implements Callable<Integer> {
    static final int VERIFIED_QUERIES = 256;
    /** Of input files: below, a TornadoVM device's JVM is over before optimised code would pay. */
    private static final long SMALL_BYTES = 1 << 20;
    private static final List<String> GRADIENTS = List.of("dq.npy", "dk.npy", "dv.npy", "dridge.npy");

    @Option(names = "--q", required = true, paramLabel = "Q.npy", description = "Queries (B,H,Sq,D)")
    private TensorFile q;

    @Option(names = "--k", required = true, paramLabel = "K.npy", description = "Keys (B,Hkv,Sk,D); H is a multiple of Hkv")
    private TensorFile k;

    @Option(names = "--v", required = true, paramLabel = "V.npy", description = "Values (B,Hkv,Sk,Dv)")
    private TensorFile v;

    @Option(names = {"-o", "--out"}, required = true, paramLabel = "O.npy", description = "Output (B,H,Sq,Dv); replaced when complete")
    private TensorFile out;

    @Option(names = "--layout", paramLabel = "L", defaultValue = "bhsd", completionCandidates = Layout.Names.class,
            description = "Order of axes in all files: ${COMPLETION-CANDIDATES}, where s is the length; of rank 3 without b "
                    + "(default: ${DEFAULT-VALUE})")
    private Layout layout;

    @Option(names = "--out-type", paramLabel = "T", defaultValue = "float32", completionCandidates = OutputType.Names.class,
            description = "Type of --out and --out-grads: ${COMPLETION-CANDIDATES}; input is that of the file that an output belongs to "
                    + "(default: ${DEFAULT-VALUE})")
    private OutputType outType;

    @Mixin
    private SolverOptions solver;

    @Option(names = "--ridge-file", paramLabel = "L.npy", description = "A ridge for each query (B,H,Sq), each above 0, instead of --ridge")
    private TensorFile ridgeFile;

    @Option(names = "--scale", paramLabel = "S", description = "Score scale, 1 / bandwidth, finite and not 0 (default: D^-1/2)")
    private Double scale;

    @Mixin
    private CausalOptions causal;

    @Option(names = "--window", paramLabel = "W", description = "Let every query see its last W keys only, its own included (default: all)")
    private Integer window;

    @Option(names = "--seqlens", paramLabel = "N,N,...", converter = SequenceLengths.Converter.class,
            description = "Lengths of sequences that lie one after the other along the length, such as 1,17,300 (cu_seqlens are their sums); none sees "
                    + "another's keys. Needs batch 1 (default: one sequence a batch entry)")
    private SequenceLengths lengths;

    @Option(names = "--key-seqlens", paramLabel = "N,N,...", converter = SequenceLengths.Converter.class,
            description = "Lengths of the sequences' keys (default: those of --seqlens)")
    private SequenceLengths keyLengths;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "jvm", completionCandidates = DeviceNames.class,
            description = "Device, as 'flashlla devices' lists them (default: ${DEFAULT-VALUE})")
    private String device;

    @Option(names = "--grad", paramLabel = "G.npy", description = "Gradient of the output (B,H,Sq,Dv); needs --out-grads")
    private TensorFile grad;

    @Option(names = "--out-grads", paramLabel = "DIR",
            description = "Folder for dq.npy, dk.npy, dv.npy and dridge.npy (of each query's ridge); made if it is not there")
    private Path outGrads;

    @Option(names = "--stats", paramLabel = "S.json", description = "Write shape, times (ms), iterations and residuals as JSON")
    private Path stats;

    @Option(names = "--verify", description = "Check up to 256 queries, and the gradients, against float64, in the type in which they are "
            + "written; write nothing if they are wrong")
    private boolean verify;

    @Option(names = "--allow-unsolved", description = "Write the output even if queries did not reach --tol, instead "
            + "of failing")
    private boolean allowUnsolved;

    @Mixin
    private SparkOptions spark;

    @Spec
    private CommandSpec spec;

    /** A result that is kept gets a tighter tolerance than one that is timed. */
    static final class Defaults implements CommandLine.IDefaultValueProvider {
        @Override
        public String defaultValue(ArgSpec argument) {
            return argument instanceof OptionSpec option && option.longestName().equals("--tol") ? "1e-5" : null;
        }
    }

    @Override
    public Integer call() throws IOException {
        if (ridgeFile != null && spec.commandLine().getParseResult().hasMatchedOption("--ridge")) {
            throw new InvalidInputException("--ridge and --ridge-file exclude each other: one ridge for all queries, or one for each.");
        }
        if (scale != null && scale.isNaN()) {
            throw new InvalidInputException("--scale must be finite and not 0, not NaN.");
        }
        LlaOptions options = solver.only().withCausal(causal.only()).withKeepState(grad != null);
        if (scale != null) {
            options = options.withScale(scale);
        }
        if (window != null && (window < 1 || !options.causal())) {
            throw new InvalidInputException(!options.causal() ? "--window and --no-causal exclude each other: a window ends with the query's own key."
                    : "--window must be at least 1 key, not " + window + ".");
        }
        if (window != null) {
            options = options.withWindow(window);
        }
        if ((grad == null) != (outGrads == null)) {
            throw new InvalidInputException("--grad and --out-grads belong together: the gradient to start from, and where to "
                    + "write what comes of it.");
        }
        if (keyLengths != null && lengths == null) {
            throw new InvalidInputException("--key-seqlens needs --seqlens: the lengths of the sequences' queries.");
        }
        if (spark.asked()) {
            return runOnSpark(options);
        }
        DeviceInfo info = OneDevice.of(device);
        options.requirePrecisionOf(info);
        Optional<JavaCommand> java = DeviceJvm.neededFor(List.of(info));
        return java.isEmpty() ? compute(info, options) : ClassArchive.leftBy(java.get().with(compilerFlags()), command -> CommandRelay.run(command,
                info.name(), FlashLla.class, spec.root().commandLine().getParseResult().originalArgs()));
    }

    /** The optimising compiler takes longer than what it could save where the host has little to do. */
    private List<String> compilerFlags() {
        long bytes = Stream.of(q, k, v, grad).filter(Objects::nonNull).mapToLong(file -> file.file().toFile().length()).sum();
        return bytes < SMALL_BYTES ? List.of("-XX:TieredStopAtLevel=1") : List.of();
    }

    private int runOnSpark(LlaOptions options) {
        if (grad != null || verify || stats != null || lengths != null || window != null || layout != Layout.BHSD
                || outType != OutputType.FLOAT32) {
            throw new InvalidInputException("--on spark computes forward and decoding into a float32 .npy file; leave out --grad, --verify, --stats, "
                    + "--seqlens, --window, --layout and --out-type.");
        }
        boolean chosen = spec.commandLine().getParseResult().hasMatchedOption("--device");
        return spark.run(q, k, v, out, ridgeFile, options, chosen ? device : null, allowUnsolved);
    }

    private int compute(DeviceInfo info, LlaOptions options) throws IOException {
        requireDistinct();
        out.requireWritable();
        InputFiles files = InputFiles.read(layout, q, k, v, ridgeFile, grad);
        files.requireUsable(options, info);
        try (OutputFiles outputs = new OutputFiles(); Device opened = Devices.open(info.name())) {
            OutputFile oFile = outputs.add(out.file());
            OutputFile statsFile = stats == null ? null : outputs.add(stats);
            Map<String, OutputFile> gradientFiles = new LinkedHashMap<>();
            if (outGrads != null) {
                outputs.makeFolder(outGrads);
                GRADIENTS.forEach(name -> gradientFiles.put(name, outputs.add(outGrads.resolve(name))));
            }
            LlaInputs inputs = files.inputs();
            Answer answer = answer(opened, files, options);
            LlaResult result = answer.result();
            LlaGradients gradients = answer.gradients();
            Sequences sequences = lengths == null ? null : sequences(inputs.shape());
            Tensor output = outType.convert("output", result.output(), files.q());
            GradientSample.Found written = gradients == null ? null : written(gradients, files, info);
            Accuracy.Sample sample = !verify ? null : sequences == null ? Accuracy.sampledError(inputs, options, output, VERIFIED_QUERIES)
                    : PackedSample.error(inputs, sequences, options, output, VERIFIED_QUERIES);
            GradientSample gradientSample = !verify || gradients == null ? null
                    : sequences == null ? GradientSample.of(inputs, options, files.gradient(), written, VERIFIED_QUERIES)
                            : PackedSample.gradients(inputs, sequences, options, files.gradient(), written, VERIFIED_QUERIES);
            out.writeTo(oFile, layout.forFile(output).reshape(files.outputDims()));
            if (written != null) {
                Npy.writeTo(gradientFiles.get("dq.npy"), layout.forFile(written.dq()).reshape(files.q().dims()));
                Npy.writeTo(gradientFiles.get("dk.npy"), layout.forFile(written.dk()).reshape(files.k().dims()));
                Npy.writeTo(gradientFiles.get("dv.npy"), layout.forFile(written.dv()).reshape(files.v().dims()));
                Npy.writeTo(gradientFiles.get("dridge.npy"), layout.forFile(written.dridge()).reshape(files.ridgeDims()));
            }
            tellWhatIsTooSmall(output, written);
            RunReport report = new RunReport(info, options, result, gradients, output.type(), sample, written == null ? null : coarsest(written), gradientSample);
            if (statsFile != null) {
                Files.writeString(statsFile.temporary(), ResultJson.text(report.stats()));
            }
            spec.commandLine().getOut().println(report.summary());
            spec.commandLine().getOut().flush();
            boolean accepted = report.accepts(allowUnsolved, spec.commandLine().getErr());
            if (accepted) {
                outputs.commit();
            }
            return accepted ? 0 : 1;
        } catch (InternalError e) { // what a read of mapped memory throws where the file ends
            throw new InvalidInputException("an input file cannot be read to its end: it shrank meanwhile, or its disk failed.");
        } catch (OutOfMemoryError e) {
            throw new DeviceException("there is not enough memory for " + files.inputs().shape() + " on " + info.name() + " ("
                    + e.getMessage() + "); FLASHLLA_JAVA_OPTS=-Xmx<size> gives Java more.", e);
        }
    }

    /** @param gradients null if none were asked for */
    private record Answer(LlaResult result, LlaGradients gradients) {}

    /** One query per head is a decoding step, as when a token is generated: the same answer for less work. */
    private Answer answer(Device opened, InputFiles files, LlaOptions options) {
        LlaInputs inputs = files.inputs();
        if (lengths != null) {
            return packed(opened, files, options);
        }
        boolean decodes = inputs.shape().queryLength() == 1 && grad == null && options.precision() == DataType.FLOAT32;
        if (decodes) {
            LlaResult result = opened.decode(inputs, options);
            requireFinite(opened.info(), "output", result.output());
            return new Answer(result, null);
        }
        try (LlaPlan plan = opened.plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            requireFinite(opened.info(), "output", result.output());
            return new Answer(result, grad == null ? null : backward(plan, inputs, result, files, opened.info()));
        }
    }

    private Answer packed(Device opened, InputFiles files, LlaOptions options) {
        LlaInputs inputs = files.inputs();
        Sequences sequences = sequences(inputs.shape());
        try (PackedPlan plan = opened.packedPlan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, sequences, result);
            requireFinite(opened.info(), "output", result.output());
            LlaGradients gradients = null;
            if (grad != null) {
                gradients = gradients(inputs, files);
                try {
                    plan.backward(inputs, sequences, files.gradient(), gradients);
                } catch (UnsupportedOperationException e) {
                    throw noBackward(opened.info());
                }
            }
            return new Answer(result, gradients);
        }
    }

    /** What --seqlens and --key-seqlens say, which must add up to the files' lengths. */
    private Sequences sequences(AttentionShape shape) {
        return new Sequences(lengths.offsets("--seqlens", shape.queryLength(), "queries", ""), keyLengths == null
                ? lengths.offsets("--seqlens", shape.keyLength(), "keys", "; name the lengths of the keys with --key-seqlens")
                : keyLengths.offsets("--key-seqlens", shape.keyLength(), "keys", ""));
    }

    /** Gradients in the types of their files. */
    private GradientSample.Found written(LlaGradients gradients, InputFiles files, DeviceInfo info) {
        return new GradientSample.Found(written("dq", gradients.dq(), files.q(), info), written("dk", gradients.dk(), files.k(), info),
                written("dv", gradients.dv(), files.v(), info), written("dridge", gradients.dridge(), files.q(), info));
    }

    private Tensor written(String name, Tensor gradient, Tensor like, DeviceInfo info) {
        requireFinite(info, name, gradient);
        return outType.convert(name, gradient, like);
    }

    /** Numbers that are there, but with a few digits: nobody would notice. */
    private void tellWhatIsTooSmall(Tensor output, GradientSample.Found written) {
        Map<String, Tensor> all = new LinkedHashMap<>();
        if (written != null) {
            all.putAll(Map.of("dq", written.dq(), "dk", written.dk(), "dv", written.dv(), "dridge", written.dridge()));
        }
        Stream.concat(OutputType.tooSmall("the output", output, "v in larger units").stream(),
                all.entrySet().stream().flatMap(one -> OutputType.tooSmall(one.getKey(), one.getValue(), "--out-type float64").stream())).sorted()
                .forEach(sentence -> spec.commandLine().getErr().println("flashlla: warning: " + sentence));
    }

    private static DataType coarsest(GradientSample.Found written) {
        return Stream.of(written.dq(), written.dk(), written.dv(), written.dridge()).map(Tensor::type)
                .max(Comparator.comparingDouble(OutputType::rounding)).orElseThrow();
    }

    /** Inputs are finite, so a result that is not means numbers beyond the device's range, or a device that failed. */
    private static void requireFinite(DeviceInfo info, String what, Tensor tensor) {
        long at = tensor.firstNonFinite();
        if (at >= 0) {
            throw new DeviceException("the " + what + " of " + info.name() + " holds " + tensor.get(at) + " at " + tensor.coordinates(at)
                    + "; nothing was written. Inputs, scale or ridge may be beyond what float32 holds.");
        }
    }

    private LlaGradients backward(LlaPlan plan, LlaInputs inputs, LlaResult result, InputFiles files, DeviceInfo info) {
        LlaGradients gradients = gradients(inputs, files);
        try {
            plan.backward(inputs, result, files.gradient(), gradients);
        } catch (UnsupportedOperationException e) {
            throw noBackward(info);
        }
        return gradients;
    }

    /** In float64 where a file gets that: it holds what float32 is too small for. */
    private LlaGradients gradients(LlaInputs inputs, InputFiles files) {
        return new LlaGradients(inputs.shape(), outType.of(files.q()) == DataType.FLOAT64 ? DataType.FLOAT64 : DataType.FLOAT32);
    }

    private static InvalidInputException noBackward(DeviceInfo info) {
        return new InvalidInputException("--device " + info.name() + " has no backward pass; use --device jvm.");
    }

    private void requireDistinct() {
        Map<String, Path> outputs = new LinkedHashMap<>();
        outputs.put("--out", out.file());
        outputs.put("--stats", stats);
        if (outGrads != null) {
            GRADIENTS.forEach(name -> outputs.put(name + " of --out-grads", outGrads.resolve(name)));
        }
        Map<String, Path> inputs = new LinkedHashMap<>();
        inputs.put("--q", q.file());
        inputs.put("--k", k.file());
        inputs.put("--v", v.file());
        inputs.put("--ridge-file", ridgeFile == null ? null : ridgeFile.file());
        inputs.put("--grad", grad == null ? null : grad.file());
        OutputFile.requireDistinct(outputs, inputs);
    }
}
