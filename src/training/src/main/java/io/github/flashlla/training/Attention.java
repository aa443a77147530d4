package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;

/** What a layer does with its queries, keys and values (B,H,S,D): the one part that differs between the models compared. */
interface Attention {
    /** Keeps MesaNet's inverse and its gradients in float32's range. */
    double LEAST_MESA_RIDGE = 0.25;

    /**
     * @param ridge one value per head (1,H,1,1), above 0, learned; null for methods without one
     * @return (B,H,S,D)
     */
    NDArray attend(int layer, NDArray q, NDArray k, NDArray v, NDArray ridge);

    /** Gives the gradients of the loss to every parameter. */
    default void backward(NDArray loss) {
        Gradients.backward(loss, false);
    }

    /** exp(q.k / sqrt(D)), normalised. */
    static Attention softmax() {
        return (layer, q, k, v, ridge) -> {
            NDArray scores = scores(q, k).mul(rootOfDim(q));
            NDArray mask = causal(q, 0, -1e9);
            return scores.add(mask).softmax(-1).matMul(v);
        };
    }

    /** f(q).f(k) with f(z) = elu(z) + 1, divided by the sum of the weights. */
    static Attention linear() {
        return (layer, q, k, v, ridge) -> {
            NDArray weights = scores(Activation.elu(q, 1).add(1), Activation.elu(k, 1).add(1)).mul(causal(q, 1, 0));
            return weights.div(weights.sum(new int[] {-1}, true)).matMul(v);
        };
    }

    /** Ridge regression over the prefix: q^T (sum k k^T + ridge I)^-1 sum k v^T, with q and k of norm 1. */
    static Attention mesa() {
        return (layer, q, k, v, ridge) -> {
            long dim = q.getShape().get(3);
            NDArray unitQ = q.mul(rootOfDim(q));
            NDArray unitK = k.mul(rootOfDim(k));
            NDArray products = unitK.expandDims(4).matMul(unitK.expandDims(3)).cumSum(2); // (B,H,S,D,D)
            NDArray matrix = products.add(q.getManager().eye((int) dim).toType(q.getDataType(), false).mul(ridge.add(LEAST_MESA_RIDGE).expandDims(4)));
            NDArray solved = matrix.inverse().matMul(unitQ.expandDims(4)).squeeze(4);
            return scores(solved, unitK).mul(causal(q, 1, 0)).matMul(v);
        };
    }

    /** D^-1/2, (1). */
    private static NDArray rootOfDim(NDArray q) {
        return Arrays.of(q.getManager(), q.getDataType(), new double[] {1 / Math.sqrt(q.getShape().get(3))}, new Shape(1));
    }

    private static NDArray scores(NDArray q, NDArray k) {
        return q.matMul(k.transpose(0, 1, 3, 2));
    }

    /** (S,S): one value where query i sees key j, another where not. */
    private static NDArray causal(NDArray q, double seen, double unseen) {
        int length = (int) q.getShape().get(2);
        float[] mask = new float[length * length];
        for (int i = 0; i < length; i++) {
            for (int j = 0; j < length; j++) {
                mask[i * length + j] = (float) (j <= i ? seen : unseen);
            }
        }
        return Arrays.of(q.getManager(), q.getDataType(), mask, new Shape(length, length));
    }
}
