package io.github.flashlla.tornado.generated;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaCache;
import io.github.flashlla.tornado.LlaPrefillTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.ArrayView;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.InputArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.device.DeviceMemory;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ArrayCopy;
import io.github.flashlla.tornado.kernels.CeilingKernels;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.Widen;
import io.github.flashlla.tornado.kernels.softmax.ParallelSoftmaxVariant;
import io.github.flashlla.tornado.plan.TornadoKvCache;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornado.support.VirtualCuda;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.verify.RandomInputs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.common.TornadoFunctions.Task3;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Writes the OpenCL and CUDA source that TornadoVM generates for every kernel, one file each, with no device needed. To see
 * whether a change of the Java source changed a kernel: run this before and after, and compare the folders with {@code diff -r}.
 * {@code bin/kernel-sources} starts it.
 */
public final class KernelSources {
    private static final Pattern ENTRY = Pattern.compile("(?:__kernel|__global__) void (?:__launch_bounds__\\([^)]*\\) )?(\\w+)\\(");
    private static final Pattern CASE = Pattern.compile("(?m)^//// (\\S+)$");
    private static final Pattern DECLARATION = Pattern.compile("([a-z_][a-z0-9_ ]*) ([a-z][a-z0-9]*_\\d+(?:, [^;()=]*)?);");
    private static final int PROCESSORS = 16;

    private static Pattern wanted;

    private KernelSources() {}

    /** @param args the folder to write to and, optionally, a pattern of cases; or, in the JVM that this starts, device, kind and pattern */
    public static void main(String[] args) throws Exception {
        if (args.length < 3) {
            Path folder = Files.createDirectories(Path.of(args[0]));
            String cases = args.length == 2 ? args[1] : ".*";
            write(folder, Backend.OPENCL, "CPU", cases);
            write(folder, Backend.OPENCL, "GPU", cases);
            write(folder, Backend.CUDA, "GPU", cases);
            return;
        }
        wanted = Pattern.compile(args[2]);
        generate(args[0], DeviceInfo.Type.valueOf(args[1]));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void write(Path folder, Backend backend, String type, String pattern) throws IOException, InterruptedException {
        Path scratch = Files.createTempDirectory("kernel-sources");
        String said = new TornadoChild(scratch, backend).virtual(type).flag("-Dtornado.printKernel=True")
                .flag("--add-exports=jdk.graal.compiler/jdk.graal.compiler.phases=ALL-UNNAMED")
                .run(KernelSources.class, backend.id() + ":0", type, pattern);
        Matcher cases = CASE.matcher(said);
        int files = 0;
        int start = cases.find() ? cases.end() : said.length();
        while (start < said.length()) {
            String name = cases.group(1);
            int end = cases.find() ? cases.start() : said.length();
            files += split(folder.resolve(backend.id() + "-" + type.toLowerCase(Locale.ROOT)).resolve(name), said.substring(start, end));
            start = end == said.length() ? end : cases.end();
        }
        if (!said.stripTrailing().endsWith("//// done")) {
            throw new IllegalStateException(backend.id() + " " + type + ": " + said.substring(Math.max(0, said.length() - 4000)));
        }
        System.out.println(backend.id() + " " + type + ": " + files + " kernels");
    }

    /** From one kernel's entry to the next; what precedes an entry is the same for all. */
    private static int split(Path folder, String said) throws IOException {
        Matcher entries = ENTRY.matcher(said);
        int count = 0;
        int start = entries.find() ? entries.start() : said.length();
        if (start == said.length() && !said.isBlank()) {
            System.out.println(folder.getFileName() + " printed no kernel: " + said.strip().lines().findFirst().orElse(""));
        }
        while (start < said.length()) {
            String name = entries.group(1);
            int end = entries.find() ? entries.start() : said.length();
            String source = said.substring(start, end);
            Files.createDirectories(folder);
            Files.writeString(folder.resolve("%02d-%s.txt".formatted(++count, name)),
                    sorted(source.substring(0, source.lastIndexOf('}') + 1)));
            start = end;
        }
        return count;
    }

    /** TornadoVM declares a kernel's variables first, in an order that differs from run to run. */
    private static String sorted(String source) {
        List<String> others = new ArrayList<>();
        List<String> declarations = new ArrayList<>();
        for (String line : source.lines().map(String::strip).filter(line -> !line.isEmpty()).toList()) {
            Matcher declaration = DECLARATION.matcher(line);
            if (declaration.matches()) {
                String names = Arrays.stream(declaration.group(2).split(", ")).sorted().collect(Collectors.joining(", "));
                declarations.add(declaration.group(1) + " " + names + ";");
            } else {
                others.add(line);
            }
        }
        declarations.sort(null);
        others.addAll(2, declarations);
        return String.join("\n", others) + "\n";
    }

    private static void generate(String name, DeviceInfo.Type type) throws Exception {
        BackendDevice found = BackendDevices.open(name);
        DeviceInfo told = found.info();
        boolean cuda = told.backend().equals("cuda");
        if (cuda) {
            VirtualCuda.allowMatrixUnits();
        }
        DeviceInfo info = new DeviceInfo(told.name(), cuda ? "cuda" : "opencl", type, told.hardware(),
                type == DeviceInfo.Type.GPU ? "nvidia" : "", told.driver(), 64L << 30, 48 << 10, PROCESSORS,
                cuda ? List.of(DataType.FLOAT32, DataType.FLOAT16) : List.of(DataType.FLOAT32));
        BackendDevice device = new BackendDevice(info, found.device(), found.backendIndex(),
                found.deviceIndex(), 1024, new DeviceMemory(name, 64L << 30));
        LlaOptions options = LlaOptions.defaults().withMaxIterations(2);
        LlaOptions jacobi = options.withPreconditioner(Preconditioner.JACOBI);
        forward("forward-32", device, shape(32, 32), options.withCausal(true));
        forward("forward-64", device, shape(64, 64), options.withTolerance(1e-5));
        forward("forward-40-56", device, shape(40, 56), options.withTolerance(1e-5));
        forward("forward-128", device, shape(128, 128), options.withTolerance(1e-5));
        forward("forward-256-jacobi", device, shape(256, 256), jacobi.withCausal(true));
        for (int dim : new int[] {48, 64, 128, 256}) {
            backward("backward-" + dim, device, shape(dim, dim), options.withCausal(dim == 48));
        }
        backward("backward-64-jacobi", device, shape(64, 64), jacobi);
        if (cuda) {
            forward("forward-64-float16", device, shape(64, 64), options.withPrecision(DataType.FLOAT16).withCausal(true));
            // which devices have without the compiler plug-in
            forced("matrix", () -> forward("forward-64-matrix", device, shape(64, 40), options.withPrecision(DataType.FLOAT16).withCausal(true)));
        }
        forced("parallel", () -> forward("forward-40-56-parallel", device, shape(40, 56), options.withCausal(true)));
        for (int dim : new int[] {16, 64, 128, 256}) {
            softmax("softmax-" + dim, device, shape(dim, dim), options, null);
        }
        if (type == DeviceInfo.Type.GPU) { // on CPUs a loop has no launch size, which leaves this graph without any
            softmax("softmax-40-56-parallel", device, shape(40, 56), options, new ParallelSoftmaxVariant());
        }
        if (cuda) {
            for (int dim : new int[] {64, 96, 128}) {
                softmax("softmax-" + dim + "-float16", device, shape(dim, dim), options.withPrecision(DataType.FLOAT16), null);
            }
        }
        for (DataType stored : List.of(DataType.FLOAT32, DataType.FLOAT16)) {
            for (int dim : new int[] {1, 5, 64, 128, 256}) {
                decode("covariance-" + dim + "-" + stored, device, dim, stored, DecodeMethod.COVARIANCE, options);
            }
            partial("partial-64-" + stored, device, 64, stored, options);
            chunk("chunk-64-" + stored, device, stored, options);
            for (int dim : new int[] {8, 64, 128}) {
                decode("matrix_free-" + dim + "-" + stored, device, dim, stored, DecodeMethod.MATRIX_FREE, options);
            }
        }
        if (type == DeviceInfo.Type.GPU && begin("widen")) {
            widen(device, shape(64, 64));
        }
        copies(device);
        if (begin("ceilings")) {
            ceilings(device, type);
        }
        System.out.println("//// done");
    }

    private static void forced(String kernel, Runnable one) {
        DeviceProfile.forceKernel(kernel);
        one.run();
        DeviceProfile.forceKernel(null);
    }

    /** Says that a case begins, if it is wanted. */
    private static boolean begin(String name) {
        boolean is = wanted.matcher(name).matches();
        if (is) {
            System.out.println("//// " + name);
        }
        return is;
    }

    private static void ceilings(BackendDevice device, DeviceInfo.Type type) {
        if (type == DeviceInfo.Type.GPU) {
            ceiling(device, CeilingKernels::multiplyAdd);
            ceiling(device, CeilingKernels::copyFour);
            ceiling(device, CeilingKernels::copyEight);
            if (device.info().backend().equals("cuda")) {
                ceiling(device, CeilingKernels::matrixProducts);
            }
        } else {
            ceiling(device, CeilingKernels::multiplyAddLanes);
            ceiling(device, CeilingKernels::copyShare);
        }
    }

    private static AttentionShape shape(int dim, int valueDim) {
        return new AttentionShape(2, 4, 2, 100, 300, dim, valueDim);
    }

    private static void forward(String name, BackendDevice device, AttentionShape shape, LlaOptions options) {
        if (!begin(name)) {
            return;
        }
        LlaTasks tasks = LlaTasks.of(device, shape, options);
        GridScheduler grids = new GridScheduler();
        LlaBuffers b = tasks.buffers();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, b.q(), b.k(), b.v(), b.ridge(), b.o());
        tasks.appendTo(graph, grids);
        compile(new TornadoExecutionPlan(graph.snapshot()), tasks, grids);
    }

    private static void compile(TornadoExecutionPlan plan, LlaTasks tasks, GridScheduler grids) {
        tasks.configure(plan).withGridScheduler(grids).withPreCompilation();
    }

    private static void backward(String name, BackendDevice device, AttentionShape shape, LlaOptions options) {
        if (!begin(name)) {
            return;
        }
        LlaTasks forward = LlaTasks.of(device, shape, options.withKeepState(true));
        LlaBackwardTasks backward = LlaBackwardTasks.of(forward);
        BackwardBuffers buffers = backward.buffers();
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, forward.buffers().keptForBackward())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.g(), buffers.dq(), buffers.dk(), buffers.dv(),
                        buffers.dridge());
        backward.appendTo(graph, grids);
        compile(new TornadoExecutionPlan(graph.snapshot()), forward, grids);
    }

    /** Prefill over a paged cache; decoding over one differs from a plan's in how it finds rows alone. */
    private static void chunk(String name, BackendDevice device, DataType stored, LlaOptions options) {
        if (!begin(name)) {
            return;
        }
        KvCacheShape shape = new KvCacheShape(2, 2, 100, 64, 64, stored);
        LlaCache cache = LlaCache.paged(device.info().name(), shape, 16, 8, LlaCache.table(shape, 16));
        LlaPrefillTasks prefill = LlaPrefillTasks.of(device.info().name(), cache, 4, 32, options.withCausal(true), new FloatArray(32 * 4 * 64),
                new FloatArray(32 * 2 * 64), new FloatArray(32 * 2 * 64), new FloatArray(32 * 4 * 64));
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime());
        prefill.appendTo(graph, grids);
        prefill.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids).withPreCompilation();
    }

    /** @param given null for the device's choice */
    private static void softmax(String name, BackendDevice device, AttentionShape shape, LlaOptions options, SoftmaxVariant given) {
        if (!begin(name)) {
            return;
        }
        VariantDevice traits = VariantDevice.of(device);
        SoftmaxVariant variant = given == null ? KernelTable.softmax(traits, shape, options) : given;
        BufferWishes wishes = variant.wishes(traits, shape, options);
        SoftmaxBuffers b = SoftmaxBuffers.allocate(shape, wishes.packedHalves(), wishes.scratchFloats());
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, b.q(), b.k(), b.v(), b.o(), b.logSumExp(), b.packed(), b.scratch());
        variant.append(new TaskAppender(device, graph, grids), traits, b, shape, options);
        device.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids).withPreCompilation();
    }

    /** Between the caller's arrays and float32 ones that are row-major; where there is bfloat16, of and to all three types. */
    private static void copies(BackendDevice device) {
        if (!begin("copies")) {
            return;
        }
        long[] dims = {1, 2, 3, 4};
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime());
        TornadoNativeArray[] arrays = device.info().backend().equals("cuda")
                ? new TornadoNativeArray[] {new FloatArray(24), new HalfFloatArray(24), new BFloat16Array(24)} : new TornadoNativeArray[] {new FloatArray(24)};
        for (TornadoNativeArray array : arrays) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, array);
            for (boolean output : new boolean[] {false, true}) {
                ArrayCopy copy = ArrayCopy.of(array.getClass().getSimpleName() + output, ArrayView.of(array).rowsFirst(3, 2, 4), dims, output);
                ArrayCopy.append(List.of(copy), output, new TaskAppender(device, graph, grids), "copy");
            }
        }
        device.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids).withPreCompilation();
    }

    private static void widen(BackendDevice device, AttentionShape shape) {
        LlaBuffers b = LlaBuffers.allocate(shape, LlaOptions.defaults(), 1, 1);
        InputArrays inputs = new InputArrays(b, shape, true, false);
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, inputs.all());
        Widen.append(new TaskAppender(device, graph, grids), "widen", inputs, b);
        device.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids).withPreCompilation();
    }

    /** A virtual device runs nothing, so that a step fails once its kernels are compiled. */
    private static void decode(String name, BackendDevice device, int dim, DataType stored, DecodeMethod method,
            LlaOptions options) {
        if (!begin(name)) {
            return;
        }
        LlaInputs inputs = decoded(dim);
        try (DecodePlan plan = cache(device, stored, inputs).decodePlan(8, options, method)) {
            plan.decode(inputs.q(), plan.newResult());
            throw new IllegalStateException(name + " ran");
        } catch (DeviceException e) {
            // it left its output as it was
        }
    }

    /** The first round, over some of the keys. */
    private static void partial(String name, BackendDevice device, int dim, DataType stored, LlaOptions options) {
        if (!begin(name)) {
            return;
        }
        LlaInputs inputs = decoded(dim);
        Tensor ridge = Tensor.allocate(DataType.FLOAT32, 2, 8, 1);
        try (PartialDecode partial = cache(device, stored, inputs).partialDecode(8, options)) {
            partial.gather(inputs.q(), ridge, new int[] {300, 300}, PartialDecode.Found.of(16, dim));
            throw new IllegalStateException(name + " ran");
        } catch (DeviceException e) {
            // it left what it found as it was
        }
    }

    private static LlaInputs decoded(int dim) {
        return RandomInputs.normal(new AttentionShape(2, 8, 2, 1, 300, dim, dim), DataType.FLOAT32);
    }

    private static TornadoKvCache cache(BackendDevice device, DataType stored, LlaInputs inputs) {
        int dim = inputs.shape().headDim();
        TornadoKvCache cache = new TornadoKvCache(new DeviceState(device.info().name()), device, new KvCacheShape(2, 2, 1000, dim, dim, stored));
        cache.append(inputs.k(), inputs.v());
        return cache;
    }

    private static void ceiling(BackendDevice device, Task3<KernelContext, FloatArray, FloatArray> kernel) {
        FloatArray from = new FloatArray(1 << 20);
        FloatArray to = new FloatArray(1 << 20);
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("g" + System.nanoTime()).transferToDevice(DataTransferMode.FIRST_EXECUTION, from, to);
        new TaskAppender(device, graph, grids).task("ceiling", TaskAppender.groups(16, 64),
                g -> g.task("ceiling", kernel, new KernelContext(), from, to));
        new TornadoExecutionPlan(graph.snapshot()).withDevice(device.device()).withGridScheduler(grids).withPreCompilation();
    }
}
