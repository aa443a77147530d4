package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;

/** A device with one fault, such as devices have had. */
final class FaultyDevice implements Device {
    private static final double SMALL = 0x1p-40;

    private final Device device;
    private final Fault fault;

    /** What is wrong. */
    enum Fault {
        NONE,
        /** The last query has the options' ridge in place of its own. */
        RIDGE_OF_ONE_QUERY,
        /** Windows begin a key too early. */
        WINDOW,
        /** dv of a key that a query sees alone is off by 1% of the gradient. */
        ONE_KEY,
        /** Gradients that start from small numbers are 0. */
        SMALL_LOSS,
        /** The last value dim is lost where there are more of them than head dims. */
        VALUE_DIMS,
        /** Other queries are not sent. */
        STALE_QUERIES,
        /** Backward takes the last run's queries, not those that it is given. */
        STALE_BACKWARD,
        /** Rows of keys are read as if they lay side by side. */
        STRIDES
    }

    FaultyDevice(Device device, Fault fault) {
        this.device = device;
        this.fault = fault;
    }

    @Override
    public DeviceInfo info() {
        return device.info();
    }

    @Override
    public LlaPlan plan(AttentionShape shape, LlaOptions options) {
        return new FaultyPlan(device.plan(shape, fault == Fault.WINDOW && options.window() > 0 ? options.withWindow(options.window() + 1) : options), options);
    }

    @Override
    public KvCache kvCache(KvCacheShape shape) {
        return device.kvCache(shape);
    }

    @Override
    public void close() {
        device.close();
    }

    private final class FaultyPlan implements LlaPlan {
        private final LlaPlan plan;
        private final LlaOptions options;
        private LlaInputs last;
        private LlaResult lastResult;

        FaultyPlan(LlaPlan plan, LlaOptions options) {
            this.plan = plan;
            this.options = options;
        }

        @Override
        public AttentionShape shape() {
            return plan.shape();
        }

        @Override
        public LlaOptions options() {
            return options;
        }

        @Override
        public void forward(LlaInputs inputs, LlaResult result) {
            last = changed(inputs);
            lastResult = result;
            plan.forward(last, result);
            if (fault == Fault.VALUE_DIMS && shape().valueDim() > shape().headDim()) {
                for (long row = 1; row <= shape().rows(); row++) {
                    result.output().set(row * shape().valueDim() - 1, 0);
                }
            }
        }

        @Override
        public void forwardQueries(LlaInputs inputs, LlaResult result) {
            if (fault != Fault.STALE_QUERIES) {
                forward(inputs, result);
            }
        }

        @Override
        public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
            boolean stale = fault == Fault.STALE_BACKWARD;
            Tensor g = gradOutput.copy();
            for (long i = 0; fault == Fault.SMALL_LOSS && i < g.size(); i++) {
                g.set(i, Math.abs(g.get(i)) < SMALL ? 0 : g.get(i));
            }
            plan.backward(stale ? last : changed(inputs), stale ? lastResult : saved, g, gradients);
            if (fault == Fault.ONE_KEY && options.causal() && shape().seenKeys(0, options) == 1) {
                for (int c = 0; c < shape().valueDim(); c++) {
                    gradients.dv().set(c, gradients.dv().get(c) + 0.01 * gradOutput.get(c));
                }
            }
        }

        private LlaInputs changed(LlaInputs inputs) {
            if (fault == Fault.RIDGE_OF_ONE_QUERY && inputs.ridge() != null) {
                Tensor ridge = inputs.ridge().copy();
                ridge.set(ridge.size() - 1, options.ridge());
                return inputs.withRidge(ridge);
            }
            if (fault == Fault.STRIDES && !inputs.k().isRowMajor() && inputs.k().type() == DataType.FLOAT32) {
                Tensor k = inputs.k();
                return new LlaInputs(inputs.q(), Tensor.wrap(k.memory().asSlice(0, k.byteSize()), k.type(), k.dims()), inputs.v(), inputs.ridge());
            }
            return inputs;
        }

        @Override
        public long workspaceBytes() {
            return plan.workspaceBytes();
        }

        @Override
        public void close() {
            plan.close();
        }
    }
}
