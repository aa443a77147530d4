package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * LLA on a device inside PyTorch's graph. Its output enters the graph as a leaf; backward goes from the last layer to the
 * first: PyTorch gives the leaf's gradient, the device turns it into those of q, k, v and the ridge, and PyTorch carries these on.
 */
final class LlaAttention implements Attention, AutoCloseable {
    static final double TOLERANCE = 1e-4;

    private final Device device;
    private final Map<AttentionShape, LlaPlan> plans = new HashMap<>();
    private final Deque<Call> calls = new ArrayDeque<>();

    private record Call(NDArray q, NDArray k, NDArray v, NDArray ridge, NDArray output, LlaPlan plan, LlaInputs inputs, LlaResult result) {}

    LlaAttention(Device device) {
        this.device = device;
    }

    static LlaOptions options() {
        return LlaOptions.defaults().withTolerance(TOLERANCE).withKeepState(true);
    }

    @Override
    public NDArray attend(int layer, NDArray q, NDArray k, NDArray v, NDArray ridge) {
        if (layer == 0) {
            calls.clear(); // of a forward pass that no backward pass followed
        }
        LlaInputs inputs = new LlaInputs(tensor(q), tensor(k), tensor(v), tensor(ridges(q, ridge)));
        LlaPlan plan = plans.computeIfAbsent(inputs.shape(), shape -> device.plan(shape, options()));
        LlaResult result = plan.newResult(); // one per layer, for each is needed until its backward pass
        plan.forward(inputs, result);
        NDArray output = array(q, result.output());
        output.setRequiresGradient(true);
        calls.push(new Call(q, k, v, ridge, output, plan, inputs, result));
        return output;
    }

    @Override
    public void backward(NDArray loss) {
        Gradients.backward(loss, true);
        while (!calls.isEmpty()) {
            Call call = calls.pop();
            LlaGradients gradients = call.plan.newGradients();
            call.plan.backward(call.inputs, call.result, tensor(call.output.getGradient()), gradients);
            NDArray onward = call.q.mul(array(call.q, gradients.dq())).sum()
                    .add(call.k.mul(array(call.q, gradients.dk())).sum())
                    .add(call.v.mul(array(call.q, gradients.dv())).sum())
                    .add(ridges(call.q, call.ridge).mul(array(call.q, gradients.dridge())).sum());
            Gradients.backward(onward, !calls.isEmpty());
        }
    }

    @Override
    public void close() {
        plans.values().forEach(LlaPlan::close);
    }

    /** One ridge per head as one per query, (B,H,S). */
    static NDArray ridges(NDArray q, NDArray ridge) {
        Shape shape = q.getShape();
        return ridge.squeeze(3).broadcast(shape.get(0), shape.get(1), shape.get(2));
    }

    static Tensor tensor(NDArray array) {
        long[] dims = array.getShape().getShape();
        return array.getDataType() == DataType.FLOAT64 ? Tensor.of(array.toDoubleArray(), dims) : Tensor.of(array.toFloatArray(), dims);
    }

    /** A tensor as an array of the other's type. */
    static NDArray array(NDArray like, Tensor tensor) {
        Shape shape = new Shape(tensor.dims());
        return like.getDataType() == DataType.FLOAT64 ? Arrays.of(like.getManager(), DataType.FLOAT64, tensor.toDoubleArray(), shape)
                : Arrays.of(like.getManager(), DataType.FLOAT32, tensor.toFloatArray(), shape);
    }
}
