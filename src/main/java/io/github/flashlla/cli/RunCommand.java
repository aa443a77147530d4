package io.github.flashlla.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.launch.Relay;
import io.github.flashlla.verify.Accuracy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code run}: Local Linear Attention from .npy files to .npy files. */
@Command(name = "run", sortOptions = false, abbreviateSynopsis = true,
        description = {
            "Compute Local Linear Attention of .npy files.",
            "Files hold float16, float32 or float64, little-endian, C order, of shape (length, dim), (heads, length, dim) or "
                    + "(batch, heads, length, dim). The output is float32 of the queries' rank."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  flashlla run --q bench/data/attention/q.npy --k bench/data/attention/k.npy --v bench/data/attention/v.npy --out o.npy",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out o.npy --ridge 0.1 --tol 1e-3 --device opencl:0 --verify",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out o.npy --grad g.npy --out-grads gradients"})
public final class RunCommand implements Callable<Integer> {
    private static final int VERIFIED_QUERIES = 256;
    private static final double VERIFY_FLOOR = 1e-4;
    private static final double PER_TOLERANCE = 10;

    @Option(names = "--q", required = true, paramLabel = "Q.npy", description = "Queries (B,H,Sq,D)")
    private Path q;

    @Option(names = "--k", required = true, paramLabel = "K.npy", description = "Keys (B,Hkv,Sk,D); H is a multiple of Hkv")
    private Path k;

    @Option(names = "--v", required = true, paramLabel = "V.npy", description = "Values (B,Hkv,Sk,Dv)")
    private Path v;

    @Option(names = "--out", required = true, paramLabel = "O.npy", description = "Output (B,H,Sq,Dv); replaced when complete")
    private Path out;

    @Option(names = "--ridge", paramLabel = "R", defaultValue = "1.0",
            description = "Ridge relative to a query's total weight, > 0 (default: ${DEFAULT-VALUE})")
    private double ridge;

    @Option(names = "--ridge-file", paramLabel = "L.npy", description = "A ridge for each query (B,H,Sq), instead of --ridge")
    private Path ridgeFile;

    @Option(names = "--scale", paramLabel = "S", description = "Score scale, 1 / bandwidth (default: D^-1/2)")
    private Double scale;

    @Option(names = "--no-causal", description = "Let every query see every key")
    private boolean noCausal;

    @Option(names = "--tol", paramLabel = "T", defaultValue = "1e-5",
            description = "Relative residual at which a query is solved, between 0 and 1 (default: ${DEFAULT-VALUE})")
    private double tol;

    @Option(names = "--max-iter", paramLabel = "N", defaultValue = "64",
            description = "Cap on conjugate-gradient iterations (default: ${DEFAULT-VALUE})")
    private int maxIter;

    @Option(names = "--precond", paramLabel = "P", defaultValue = "none",
            description = "Preconditioner: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
    private Preconditioner precond;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "jvm",
            description = "Device, as 'flashlla devices' lists them (default: ${DEFAULT-VALUE})")
    private String device;

    @Option(names = "--grad", paramLabel = "G.npy", description = "Gradient of the output (B,H,Sq,Dv); needs --out-grads")
    private Path grad;

    @Option(names = "--out-grads", paramLabel = "DIR",
            description = "Folder for dq.npy, dk.npy, dv.npy and dlambda.npy; made if it is not there")
    private Path outGrads;

    @Option(names = "--stats", paramLabel = "S.json", description = "Write shape, times, iterations and residuals as JSON")
    private Path stats;

    @Option(names = "--verify", description = "Hold up to 256 queries against float64, and fail if they are off")
    private boolean verify;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        LlaOptions options = LlaOptions.defaults().withRidge(ridge).withCausal(!noCausal).withTolerance(tol)
                .withMaxIterations(maxIter).withPreconditioner(precond).withKeepState(grad != null);
        if (scale != null) {
            options = options.withScale(scale);
        }
        if ((grad == null) != (outGrads == null)) {
            throw new InvalidInputException("--grad and --out-grads belong together: the gradient to start from, and where to "
                    + "write what comes of it.");
        }
        DeviceInfo info = device();
        OptionalInt status = Relay.run(List.of(info), FlashLla.class, spec.root().commandLine().getParseResult().originalArgs());
        return status.isPresent() ? status.getAsInt() : compute(info, options);
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
        Tensor queries = Npy.read(q);
        LlaInputs inputs = inputs(queries);
        if (options.causal() && inputs.shape().queryLength() > inputs.shape().keyLength()) {
            throw new InvalidInputException(q + " has " + inputs.shape().queryLength() + " queries but " + k + " only "
                    + inputs.shape().keyLength() + " keys; causal attention needs Sq <= Sk (or say --no-causal).");
        }
        Tensor gradient = gradient(inputs);
        try (Outputs outputs = new Outputs(); Device opened = Devices.open(info.name())) {
            Path oFile = outputs.add(out);
            Path statsFile = stats == null ? null : outputs.add(stats);
            Path[] gradientFiles = new Path[4];
            if (outGrads != null) {
                Files.createDirectories(outGrads);
                String[] names = {"dq.npy", "dk.npy", "dv.npy", "dlambda.npy"};
                Arrays.setAll(gradientFiles, n -> outputs.add(outGrads.resolve(names[n])));
            }
            try (LlaPlan plan = opened.plan(inputs.shape(), options)) {
                LlaResult result = plan.newResult();
                plan.forward(inputs, result);
                LlaGradients gradients = gradient == null ? null : backward(plan, inputs, result, gradient, info);
                Accuracy.Sample sample = verify ? Accuracy.sampledError(inputs, options, result, VERIFIED_QUERIES) : null;

                long[] dims = queries.dims();
                dims[dims.length - 1] = inputs.shape().valueDim();
                Npy.writeTo(oFile, result.output().as(DataType.FLOAT32).reshape(dims));
                if (gradients != null) {
                    Tensor[] found = {gradients.dq(), gradients.dk(), gradients.dv(), gradients.dridge()};
                    for (int n = 0; n < found.length; n++) {
                        Npy.writeTo(gradientFiles[n], found[n].as(DataType.FLOAT32));
                    }
                }
                if (statsFile != null) {
                    new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT)
                            .writeValue(statsFile.toFile(), stats(info, options, result, sample));
                }
                boolean passed = sample == null || sample.error() <= bar(options);
                spec.commandLine().getOut().println(summary(info, result, sample));
                spec.commandLine().getOut().flush();
                if (!passed) {
                    spec.commandLine().getErr().printf(Locale.ROOT,
                            "flashlla: the output misses float64 by %.2e, more than %.1e; nothing was written.%n", sample.error(),
                            bar(options));
                    return 1;
                }
                outputs.commit();
                return 0;
            }
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

    /** A solve to the tolerance is off by some multiples of it. */
    private static double bar(LlaOptions options) {
        return Math.max(VERIFY_FLOOR, PER_TOLERANCE * options.tolerance());
    }

    private void requireDistinct() throws IOException {
        for (Path output : new Path[] {out, stats}) {
            for (Path input : new Path[] {q, k, v, ridgeFile, grad}) {
                if (output != null && input != null && Files.exists(output) && Files.exists(input) && Files.isSameFile(output, input)) {
                    throw new InvalidInputException(output + " is both an input and an output; name another file to write to.");
                }
            }
        }
        if (stats != null && stats.toAbsolutePath().normalize().equals(out.toAbsolutePath().normalize())) {
            throw new InvalidInputException("--stats and --out both name " + out + "; name two files.");
        }
    }

    private LlaInputs inputs(Tensor queries) {
        LlaInputs inputs = LlaInputs.of(rank4(queries, q, "--q"), rank4(Npy.read(k), k, "--k"), rank4(Npy.read(v), v, "--v"));
        if (ridgeFile != null) {
            Tensor perQuery = Npy.read(ridgeFile);
            long[] want = {inputs.q().dim(0), inputs.q().dim(1), inputs.q().dim(2)};
            long[] rows = Arrays.copyOfRange(want, 4 - queries.rank(), 3);
            if (!Arrays.equals(perQuery.dims(), rows) && !Arrays.equals(perQuery.dims(), want)) {
                throw new InvalidInputException(ridgeFile + " has shape " + Tensor.shapeString(perQuery.dims())
                        + ", but a ridge for each query of " + q + " needs " + Tensor.shapeString(rows) + ".");
            }
            inputs = inputs.withRidge(perQuery.reshape(want));
        }
        inputs.shape(); // sizes out of range are said before elements are looked at
        inputs.requireFinite();
        return inputs;
    }

    private static Tensor rank4(Tensor tensor, Path file, String option) {
        int rank = tensor.rank();
        if (rank < 2 || rank > 4) {
            throw new InvalidInputException(option + " " + file + " has rank " + rank
                    + "; (length, dim), (heads, length, dim) or (batch, heads, length, dim) is needed.");
        }
        long[] dims = {1, 1, 1, 1};
        System.arraycopy(tensor.dims(), 0, dims, 4 - rank, rank);
        return tensor.reshape(dims);
    }

    private Tensor gradient(LlaInputs inputs) {
        if (grad == null) {
            return null;
        }
        Tensor gradient = rank4(Npy.read(grad), grad, "--grad");
        if (!Arrays.equals(gradient.dims(), inputs.shape().outputDims())) {
            throw new InvalidInputException(grad + " has shape " + Tensor.shapeString(gradient.dims()) + ", but the output it is the "
                    + "gradient of has " + Tensor.shapeString(inputs.shape().outputDims()) + ".");
        }
        long at = gradient.firstNonFinite();
        if (at >= 0) {
            throw new InvalidInputException(grad + " holds " + gradient.get(at) + " at " + gradient.coordinates(at)
                    + "; gradients must be finite.");
        }
        return gradient;
    }

    private static String summary(DeviceInfo info, LlaResult result, Accuracy.Sample sample) {
        String verified = sample == null ? ""
                : String.format(Locale.ROOT, ", error %.2e against float64 on %d queries", sample.error(), sample.queries());
        return String.format(Locale.ROOT, "%s on %s: %.1f ms, iterations %d/%.1f/%d (min/mean/max), worst residual %.2e%s",
                result.shape(), info.name(), result.timing().wallNanos() / 1e6, result.minIterations(), result.meanIterations(),
                result.maxIterations(), result.worstResidual(), verified);
    }

    private static Map<String, Object> stats(DeviceInfo info, LlaOptions options, LlaResult result, Accuracy.Sample sample) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("shape", result.shape());
        all.put("device", info);
        all.put("scale", options.scaleFor(result.shape().headDim()));
        all.put("tolerance", options.tolerance());
        all.put("wall_ms", result.timing().wallNanos() / 1e6);
        all.put("kernel_ms", result.timing().kernelNanos() < 0 ? null : result.timing().kernelNanos() / 1e6);
        all.put("iterations", Map.of("min", result.minIterations(), "mean", result.meanIterations(), "max", result.maxIterations()));
        all.put("worst_residual", result.worstResidual());
        all.put("unsolved_queries", unsolved(options, result));
        if (sample != null) {
            all.put("error", sample.error());
            all.put("verified_queries", sample.queries());
        }
        return all;
    }

    private static long unsolved(LlaOptions options, LlaResult result) {
        long count = 0;
        for (float residual : result.residual()) {
            count += residual <= options.tolerance() ? 0 : 1;
        }
        return count;
    }

    /** Files that all appear when everything is done, or none of them. */
    private static final class Outputs implements AutoCloseable {
        private final Map<Path, OutputFile> files = new LinkedHashMap<>();

        Path add(Path file) {
            OutputFile output = OutputFile.create(file);
            files.put(file, output);
            return output.temporary();
        }

        void commit() throws IOException {
            for (OutputFile file : files.values()) {
                file.commit();
            }
        }

        @Override
        public void close() {
            files.values().forEach(OutputFile::close);
        }
    }
}
