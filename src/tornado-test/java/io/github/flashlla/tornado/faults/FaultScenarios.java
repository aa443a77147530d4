package io.github.flashlla.tornado.faults;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.verify.RandomInputs;
import java.util.Arrays;
import java.util.List;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** What a {@link TornadoChild} does: its last line is {@code done}, or the exception that a caller would see. */
public final class FaultScenarios {
    /** Between what is printed of one thing to do and of the next. */
    public static final String NEXT = "//// next";

    private FaultScenarios() {}

    /**
     * @param args what to do; device; length and head dim of one head, or several head dims between commas, one after the other; for some, a count.
     *         Behind a +, the same of what to do next
     */
    public static void main(String[] args) {
        List<String> left = List.of(args);
        for (int plus = left.indexOf("+"); plus >= 0; plus = left.indexOf("+")) {
            run(left.subList(0, plus).toArray(String[]::new));
            System.out.println(NEXT);
            left = left.subList(plus + 1, left.size());
        }
        run(left.toArray(String[]::new));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    /** Its last line is {@code done}, or says what went wrong. */
    private static void run(String[] args) {
        try (Device device = Devices.open(args[1])) {
            int count = args.length > 4 ? Integer.parseInt(args[4]) : 0;
            for (String headDim : args[3].split(",")) {
                AttentionShape shape = AttentionShape.square(1, 1, Integer.parseInt(args[2]), Integer.parseInt(headDim));
                switch (args[0]) {
                    case "plan" -> device.plan(shape, LlaOptions.defaults()).close();
                    case "run" -> run(device, shape);
                    case "backward" -> compileBackward(args[1], shape);
                    case "oneAfterTheOther" -> {
                        for (int n = 0; n < count; n++) {
                            run(device, shape);
                        }
                    }
                    case "manyAtOnce" -> {
                        for (int n = 0; n < count; n++) {
                            device.plan(shape, LlaOptions.defaults());
                        }
                    }
                    case "kernelTimes" -> kernelTimes(device, shape, count);
                    case "decode" -> device.kvCache(new KvCacheShape(1, 1, shape.keyLength(), shape.headDim(), shape.headDim(),
                            DataType.FLOAT32)).decodePlan(1, LlaOptions.defaults());
                    case "decodeOneAfterTheOther" -> {
                        for (int n = 0; n < count; n++) {
                            decode(device, shape);
                        }
                    }
                    case "ceilings" -> device.measureCeilings().orElseThrow();
                    case "besideAnother" -> besideAnother(args[1], count, () -> run(device, shape));
                    default -> throw new IllegalArgumentException(args[0]);
                }
            }
            if (!args[0].equals("kernelTimes")) {
                System.out.println("done");
            }
        } catch (Exception e) {
            System.out.println(e.getClass().getSimpleName() + ": " + e.getMessage());
        }
    }

    /** The backward pass alone, which a plan would compile behind its first forward run. */
    private static void compileBackward(String device, AttentionShape shape) {
        LlaTasks forward = LlaTasks.of(BackendDevices.open(device), shape, LlaOptions.defaults().withKeepState(true));
        LlaBackwardTasks backward = LlaBackwardTasks.of(forward);
        BackwardBuffers buffers = backward.buffers();
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("gradients" + shape.headDim())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, forward.buffers().keptForBackward())
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.g(), buffers.dq(), buffers.dk(), buffers.dv(),
                        buffers.dridge());
        backward.appendTo(graph, grids);
        forward.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids).withPreCompilation();
    }

    private static void run(Device device, AttentionShape shape) {
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32);
        try (LlaPlan plan = device.plan(shape, LlaOptions.defaults())) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
        }
    }

    /** A step whose graph is not the last one that its plan has. */
    private static void decode(Device device, AttentionShape shape) {
        KvCacheShape cached = new KvCacheShape(1, 1, shape.keyLength(), shape.headDim(), shape.headDim(), DataType.FLOAT32);
        LlaInputs inputs = RandomInputs.normal(new AttentionShape(1, 1, 1, 1, 100, shape.headDim(), shape.headDim()), DataType.FLOAT32);
        try (KvCache cache = device.kvCache(cached); DecodePlan plan = cache.decodePlan(1, LlaOptions.defaults())) {
            cache.append(inputs.k(), inputs.v());
            plan.decode(inputs.q(), plan.newResult());
        }
    }

    /** Which runs of one plan have a kernel time; throws if their answers differ. */
    private static void kernelTimes(Device device, AttentionShape shape, int runs) {
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32);
        StringBuilder times = new StringBuilder();
        try (LlaPlan plan = device.plan(shape, LlaOptions.defaults())) {
            float[] first = null;
            for (int run = 0; run < runs; run++) {
                LlaResult result = plan.newResult();
                plan.forward(inputs, result);
                first = first == null ? result.output().toFloatArray() : first;
                if (!Arrays.equals(first, result.output().toFloatArray())) {
                    throw new IllegalStateException("run " + run + " has another answer");
                }
                times.append(result.timing().kernelNanos() > 0 ? " timed" : result.timing().kernelNanos() == -1 ? " untimed" : " wrong");
            }
        }
        System.out.println(times);
    }

    /** While a graph that is no concern of FlashLLA's holds this many floats. */
    private static void besideAnother(String device, int floats, Runnable task) throws Exception {
        FloatArray array = new FloatArray(floats);
        TaskGraph graph = new TaskGraph("other").transferToDevice(DataTransferMode.FIRST_EXECUTION, array)
                .task("increment", FaultScenarios::increment, array).transferToHost(DataTransferMode.UNDER_DEMAND, array);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            plan.withDevice(BackendDevices.open(device).device()).execute();
            task.run();
        }
    }

    public static void increment(FloatArray array) {
        for (@Parallel int n = 0; n < array.getSize(); n++) {
            array.set(n, array.get(n) + 1f);
        }
    }
}
