package io.github.flashlla.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.github.flashlla.DataType;
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
import io.github.flashlla.SolveState;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornadovm.DeviceJvm;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GradientSample;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
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
            "Compute Local Linear Attention of .npy files.",
            "Files hold float16, float32 or float64, little-endian, C order, of shape (length, dim), (heads, length, dim) or "
                    + "(batch, heads, length, dim). Outputs are float32, with the rank of the file that they belong "
                            + "to. Prints shape, device, time, iterations of the queries' solves, and their worst residual.",
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
            "    --grad g.npy --out-grads gradients"})
public final class RunCommand implements Callable<Integer> {
    private static final int VERIFIED_QUERIES = 256;
    private static final double VERIFY_FLOOR = 1e-4;
    private static final double VERIFY_FLOOR_FLOAT16 = 5e-3;
    private static final double GRADIENT_FLOOR = 1e-3;
    private static final double GRADIENT_FLOOR_FLOAT16 = 1e-2;
    private static final double PER_TOLERANCE = 10;
    private static final List<String> GRADIENTS = List.of("dq.npy", "dk.npy", "dv.npy", "dlambda.npy");

    @Option(names = "--q", required = true, paramLabel = "Q.npy", description = "Queries (B,H,Sq,D)")
    private Path q;

    @Option(names = "--k", required = true, paramLabel = "K.npy", description = "Keys (B,Hkv,Sk,D); H is a multiple of Hkv")
    private Path k;

    @Option(names = "--v", required = true, paramLabel = "V.npy", description = "Values (B,Hkv,Sk,Dv)")
    private Path v;

    @Option(names = "--out", required = true, paramLabel = "O.npy", description = "Output (B,H,Sq,Dv); replaced when complete")
    private Path out;

    @Mixin
    private SolverOptions solver;

    @Option(names = "--ridge-file", paramLabel = "L.npy", description = "A ridge for each query (B,H,Sq), each above 0, instead of --ridge")
    private Path ridgeFile;

    @Option(names = "--scale", paramLabel = "S", description = "Score scale, 1 / bandwidth, finite and not 0 (default: D^-1/2)")
    private Double scale;

    @Option(names = "--no-causal", description = "Let every query see every key")
    private boolean noCausal;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "jvm", completionCandidates = DeviceNames.class,
            description = "Device, as 'flashlla devices' lists them (default: ${DEFAULT-VALUE})")
    private String device;

    @Option(names = "--grad", paramLabel = "G.npy", description = "Gradient of the output (B,H,Sq,Dv); needs --out-grads")
    private Path grad;

    @Option(names = "--out-grads", paramLabel = "DIR",
            description = "Folder for dq.npy, dk.npy, dv.npy and dlambda.npy; made if it is not there")
    private Path outGrads;

    @Option(names = "--stats", paramLabel = "S.json", description = "Write shape, times (ms), iterations and residuals as JSON")
    private Path stats;

    @Option(names = "--verify", description = "Check up to 256 queries, and the gradients, against float64; write "
            + "nothing if they are wrong")
    private boolean verify;

    @Option(names = "--allow-unsolved", description = "Write the output even if queries did not reach --tol, instead "
            + "of failing")
    private boolean allowUnsolved;

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
        LlaOptions options = solver.only().withCausal(!noCausal).withKeepState(grad != null);
        if (scale != null) {
            options = options.withScale(scale);
        }
        if ((grad == null) != (outGrads == null)) {
            throw new InvalidInputException("--grad and --out-grads belong together: the gradient to start from, and where to "
                    + "write what comes of it.");
        }
        DeviceInfo info = device();
        Optional<JavaCommand> java = DeviceJvm.neededFor(List.of(info));
        return java.isEmpty() ? compute(info, options) : CommandRelay.run(java.get(), info.name(), FlashLla.class,
                spec.root().commandLine().getParseResult().originalArgs());
    }

    private DeviceInfo device() {
        List<DeviceInfo> chosen = Devices.select(List.of(device));
        if (chosen.size() > 1) {
            throw new InvalidInputException("--device " + device + " names " + chosen.size() + " devices, "
                    + String.join(", ", chosen.stream().map(DeviceInfo::name).toList()) + "; run uses one.");
        }
        return chosen.getFirst();
    }

    private int compute(DeviceInfo info, LlaOptions options) throws IOException {
        requireDistinct();
        InputFiles files = InputFiles.read(q, k, v, ridgeFile, grad);
        files.requireUsable(options, info);
        try (Outputs outputs = new Outputs(); Device opened = Devices.open(info.name())) {
            OutputFile oFile = outputs.add(out);
            OutputFile statsFile = stats == null ? null : outputs.add(stats);
            Map<String, OutputFile> gradientFiles = new LinkedHashMap<>();
            if (outGrads != null) {
                outputs.makeFolder(outGrads);
                GRADIENTS.forEach(name -> gradientFiles.put(name, outputs.add(outGrads.resolve(name))));
            }
            LlaInputs inputs = files.inputs();
            try (LlaPlan plan = decodes(inputs, options) ? null : opened.plan(inputs.shape(), options)) {
                LlaResult result = plan == null ? opened.decode(inputs, options) : forward(plan, inputs);
                requireFinite(info, "output", result.output());
                Accuracy.Sample sample = verify ? Accuracy.sampledError(inputs, options, result, VERIFIED_QUERIES) : null;
                Npy.writeTo(oFile, result.output().as(DataType.FLOAT32).reshape(files.outputDims()));
                LlaGradients gradients = null;
                GradientSample gradientSample = null;
                if (grad != null) {
                    gradients = backward(plan, inputs, result, files.gradient(), info);
                    gradientSample = verify ? GradientSample.of(inputs, options, files.gradient(), gradients, VERIFIED_QUERIES) : null;
                    write(gradientFiles.get("dq.npy"), gradients.dq(), files.q(), info);
                    write(gradientFiles.get("dk.npy"), gradients.dk(), files.k(), info);
                    write(gradientFiles.get("dv.npy"), gradients.dv(), files.v(), info);
                    requireFinite(info, "dlambda", gradients.dridge());
                    Npy.writeTo(gradientFiles.get("dlambda.npy"), gradients.dridge().as(DataType.FLOAT32).reshape(files.ridgeDims()));
                }
                if (statsFile != null) {
                    new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT)
                            .writeValue(statsFile.temporary().toFile(), stats(info, options, result, gradients, sample, gradientSample));
                }
                return report(info, options, result, gradients, sample, gradientSample, outputs);
            }
        } catch (OutOfMemoryError e) {
            throw new DeviceException("there is not enough memory for " + files.inputs().shape() + " on " + info.name() + " ("
                    + e.getMessage() + "); FLASHLLA_JAVA_OPTS=-Xmx<size> gives Java more.", e);
        }
    }

    /** One query per head is a decoding step, as when a token is generated: the same answer for less work. */
    private boolean decodes(LlaInputs inputs, LlaOptions options) {
        return inputs.shape().queryLength() == 1 && grad == null && options.precision() == DataType.FLOAT32;
    }

    private static LlaResult forward(LlaPlan plan, LlaInputs inputs) {
        LlaResult result = plan.newResult();
        plan.forward(inputs, result);
        return result;
    }

    private int report(DeviceInfo info, LlaOptions options, LlaResult result, LlaGradients gradients, Accuracy.Sample sample,
            GradientSample gradientSample, Outputs outputs) throws IOException {
        PrintWriter err = spec.commandLine().getErr();
        spec.commandLine().getOut().println(summary(info, result, sample, gradientSample));
        spec.commandLine().getOut().flush();
        if (sample != null && !(sample.error() <= bar(options, VERIFY_FLOOR, VERIFY_FLOOR_FLOAT16))) {
            err.printf(Locale.ROOT, "flashlla: the output misses float64 by %.2e, more than %.1e; nothing was written.%n", sample.error(),
                    bar(options, VERIFY_FLOOR, VERIFY_FLOOR_FLOAT16));
            return 1;
        }
        if (gradientSample != null && !(gradientSample.error() <= bar(options, GRADIENT_FLOOR, GRADIENT_FLOOR_FLOAT16))) {
            err.printf(Locale.ROOT, "flashlla: the gradients miss float64 by %.2e, more than %.1e; nothing was written.%n",
                    gradientSample.error(), bar(options, GRADIENT_FLOOR, GRADIENT_FLOOR_FLOAT16));
            return 1;
        }
        if (gradientSample != null && !gradientSample.whole()) {
            err.println("flashlla: of the gradients, dq and dlambda of " + VERIFIED_QUERIES + " queries were held against float64; "
                    + "dk and dv need every query, and this problem is too large for that.");
        }
        long unsolved = result.count(SolveState.UNSOLVED, options.tolerance());
        long second = unsolvedGradients(options, gradients);
        if (unsolved + second > 0) {
            err.printf(Locale.ROOT, "flashlla: %d of %d queries did not reach --tol %s%s; a larger --max-iter or --ridge may help%s.%n",
                    Math.max(unsolved, second), result.shape().rows(), Numbers.plain(options.tolerance()),
                    unsolved > 0 ? "" : " in the solve of the gradients",
                    allowUnsolved ? "" : "; nothing was written (--allow-unsolved writes what there is)");
            if (!allowUnsolved) {
                return 1;
            }
        }
        double estimate = result.estimatedError();
        if (estimate > bar(options, VERIFY_FLOOR, VERIFY_FLOOR_FLOAT16)) {
            err.printf(Locale.ROOT, "flashlla: warning: rounding may put the output off by %.1e; a larger --ridge makes it more exact.%n",
                    estimate);
        }
        outputs.commit();
        return 0;
    }

    private static long unsolvedGradients(LlaOptions options, LlaGradients gradients) {
        long count = 0;
        for (int row = 0; gradients != null && row < gradients.residual().length; row++) {
            count += gradients.state(row, options.tolerance()) == SolveState.UNSOLVED ? 1 : 0;
        }
        return count;
    }

    /** Writes a gradient in the shape of its input's file. */
    private static void write(OutputFile file, Tensor gradient, Tensor like, DeviceInfo info) {
        requireFinite(info, file.file().getFileName().toString(), gradient);
        Npy.writeTo(file, gradient.as(DataType.FLOAT32).reshape(like.dims()));
    }

    /** Inputs are finite, so a result that is not means numbers beyond the device's range, or a device that failed. */
    private static void requireFinite(DeviceInfo info, String what, Tensor tensor) {
        long at = tensor.firstNonFinite();
        if (at >= 0) {
            throw new DeviceException("the " + what + " of " + info.name() + " holds " + tensor.get(at) + " at " + tensor.coordinates(at)
                    + "; nothing was written. Inputs, scale or ridge may be beyond what float32 holds.");
        }
    }

    private static LlaGradients backward(LlaPlan plan, LlaInputs inputs, LlaResult result, Tensor gradient, DeviceInfo info) {
        LlaGradients gradients = plan.newGradients();
        try {
            plan.backward(inputs, result, gradient, gradients);
        } catch (UnsupportedOperationException e) {
            throw new InvalidInputException("--device " + info.name() + " has no backward pass; use --device jvm.");
        }
        return gradients;
    }

    /** A solve that reaches the tolerance can be wrong by a small multiple of it. */
    private static double bar(LlaOptions options, double float32Floor, double float16Floor) {
        double floor = options.precision() == DataType.FLOAT16 ? float16Floor : float32Floor;
        return Math.max(floor, PER_TOLERANCE * options.tolerance());
    }

    private void requireDistinct() {
        Map<String, Path> outputs = new LinkedHashMap<>();
        outputs.put("--out", out);
        outputs.put("--stats", stats);
        if (outGrads != null) {
            GRADIENTS.forEach(name -> outputs.put(name + " of --out-grads", outGrads.resolve(name)));
        }
        Map<String, Path> inputs = new LinkedHashMap<>();
        inputs.put("--q", q);
        inputs.put("--k", k);
        inputs.put("--v", v);
        inputs.put("--ridge-file", ridgeFile);
        inputs.put("--grad", grad);
        OutputFile.requireDistinct(outputs, inputs);
    }

    private static String summary(DeviceInfo info, LlaResult result, Accuracy.Sample sample, GradientSample gradients) {
        String verified = sample == null ? ""
                : String.format(Locale.ROOT, ", error %.2e against float64 on %d queries", sample.error(), sample.queries());
        String verifiedGradients = gradients == null ? "" : String.format(Locale.ROOT, ", of gradients %.2e", gradients.error());
        String recomputed = result.recomputedRows() == 0 ? ""
                : String.format(Locale.ROOT, ", %d queries in float64", result.recomputedRows());
        return String.format(Locale.ROOT, "%s on %s: %.1f ms, iterations %d/%.1f/%d (min/mean/max), worst residual %.2e%s%s%s",
                result.shape(), info.name(), result.timing().wallNanos() / 1e6, result.minIterations(), result.meanIterations(),
                result.maxIterations(), result.worstResidual(), recomputed, verified, verifiedGradients);
    }

    private static Map<String, Object> stats(DeviceInfo info, LlaOptions options, LlaResult result, LlaGradients gradients,
            Accuracy.Sample sample, GradientSample gradientSample) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("shape", result.shape());
        all.put("device", info);
        all.put("scale", options.scaleFor(result.shape().headDim()));
        all.put("tolerance", options.tolerance());
        all.put("wall_ms", result.timing().wallNanos() / 1e6);
        all.put("kernel_ms", result.timing().kernelNanos() < 0 ? null : result.timing().kernelNanos() / 1e6);
        all.put("iterations", Map.of("min", result.minIterations(), "mean", result.meanIterations(), "max", result.maxIterations()));
        all.put("worst_residual", result.worstResidual());
        all.put("unsolved_queries", result.count(SolveState.UNSOLVED, options.tolerance()));
        all.put("queries_limited_by_rounding", result.count(SolveState.LIMITED_BY_ROUNDING, options.tolerance()));
        all.put("queries_in_float64", result.recomputedRows());
        all.put("estimated_error", result.estimatedError());
        if (gradients != null) {
            all.put("unsolved_gradient_queries", unsolvedGradients(options, gradients));
            all.put("gradient_queries_in_float64", gradients.recomputedRows());
        }
        if (sample != null) {
            all.put("error", sample.error());
            all.put("verified_queries", sample.queries());
        }
        if (gradientSample != null) {
            all.put("gradient_error", gradientSample.error());
            all.put("verified_all_gradients", gradientSample.whole());
        }
        return all;
    }

    /** Files that all appear when everything is done, or none of them. */
    private static final class Outputs implements AutoCloseable {
        private final List<OutputFile> files = new ArrayList<>();
        private Path made;

        OutputFile add(Path file) {
            OutputFile output = OutputFile.create(file);
            files.add(output);
            return output;
        }

        /** Creates the output folder; it is deleted again if no file is committed to it. */
        void makeFolder(Path folder) {
            if (Files.isDirectory(folder)) {
                return;
            }
            try {
                Files.createDirectory(folder);
                made = folder;
            } catch (IOException e) {
                throw new InvalidInputException("the folder " + folder + " cannot be made: "
                        + (Files.exists(folder) ? "there is a file of that name" : "its own folder is not there, or refuses it") + ".");
            }
        }

        void commit() throws IOException {
            for (OutputFile file : files) {
                file.commit();
            }
            made = null;
        }

        @Override
        public void close() {
            files.forEach(OutputFile::close);
            if (made != null) {
                made.toFile().delete(); // if it is empty
            }
        }
    }
}
