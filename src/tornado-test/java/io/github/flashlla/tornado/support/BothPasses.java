package io.github.flashlla.tornado.support;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaArrays;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.FloatArrays;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** Both passes in one graph over arrays of the caller's, run as often as asked. */
public final class BothPasses implements AutoCloseable {
    private final LlaTasks forward;
    private final LlaBackwardTasks backward;
    private final TornadoExecutionPlan plan;

    /** Inputs are copied to the device for every run; outputs are NaN before the first. */
    public BothPasses(AttentionShape shape, LlaOptions options, LlaArrays arrays, LlaArrays gradients) {
        forward = LlaTasks.of(TestDevice.NAME, shape, options, arrays);
        backward = LlaBackwardTasks.of(forward, gradients);
        Object[] inputs = Stream.concat(Stream.of(arrays.inputs()), Stream.of(gradients.output())).toArray();
        Object[] outputs = Stream.concat(Stream.of(arrays.output()), Stream.of(gradients.inputs())).toArray();
        for (Object output : outputs) {
            switch (output) {
                case HalfFloatArray half -> half.init(new HalfFloat(Float.NaN));
                case BFloat16Array brain -> brain.init((short) 0x7fc0);
                default -> ((FloatArray) output).init(Float.NaN);
            }
        }
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("passes").transferToDevice(DataTransferMode.EVERY_EXECUTION, inputs)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, outputs);
        forward.appendTo(graph, grids);
        backward.appendTo(graph, grids);
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, outputs);
        plan = forward.entry().configureShared(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
    }

    public void run() {
        TornadoExecutionResult result = plan.execute();
        forward.check(result);
        backward.check(result);
    }

    public void setSequences(Sequences sequences) {
        backward.setSequences(sequences);
    }

    public LlaTasks forward() {
        return forward;
    }

    public LlaBackwardTasks backward() {
        return backward;
    }

    @Override
    public void close() throws Exception {
        plan.close();
    }

    /** An array with a tensor's elements, in the order of its axes. */
    public static FloatArray array(Tensor tensor) {
        FloatArray array = new FloatArray(Math.toIntExact(tensor.size()));
        FloatArrays.load(tensor, array);
        return array;
    }

    /** The tensor (B,H,S,D) that an array holds, as (B,S,H,D) where {@code rowsFirst}. */
    public static Tensor tensor(FloatArray array, boolean rowsFirst, long[] dims) {
        Tensor tensor = Tensor.of(array.toHeapArray(), rowsFirst ? new long[] {dims[0], dims[2], dims[1], dims[3]} : dims);
        return rowsFirst ? tensor.permute(0, 2, 1, 3) : tensor;
    }
}
