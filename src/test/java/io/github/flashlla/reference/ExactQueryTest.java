package io.github.flashlla.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The benchmark's own float64 answers against central differences of themselves. */
class ExactQueryTest {
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 1, 6, 9, 4, 3);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withRidge(0.3);
    private static final double STEP = 1e-5;

    private final LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT64);
    private final Tensor g = RandomInputs.gradient(SHAPE);

    @Test
    void gradientsAreDerivatives() {
        for (long row = 0; row < SHAPE.rows(); row++) {
            ExactQuery query = new ExactQuery(SHAPE, OPTIONS, inputs, row);
            query.backward(ExactQuery.values(g, row * 3, 3));
            double[] dq = query.dq();
            for (int c = 0; c < 4; c++) {
                assertEquals(slope(inputs.q(), row * 4 + c), dq[c], 1e-7);
            }
        }
        for (int key : List.of(0, 5, 8)) {
            double[] dk = new double[4];
            double[] dv = new double[3];
            for (long row = 0; row < SHAPE.rows(); row++) {
                ExactQuery query = new ExactQuery(SHAPE, OPTIONS, inputs, row);
                query.backward(ExactQuery.values(g, row * 3, 3));
                if (query.sees(key)) {
                    query.addDk(key, dk);
                    query.addDv(key, dv);
                }
            }
            for (int c = 0; c < 4; c++) {
                assertEquals(slope(inputs.k(), key * 4L + c), dk[c], 1e-7);
            }
            for (int c = 0; c < 3; c++) {
                assertEquals(slope(inputs.v(), key * 3L + c), dv[c], 1e-7);
            }
        }
    }

    @Test
    void ridgeGradientIsADerivative() {
        Tensor ridge = Tensor.allocate(DataType.FLOAT64, SHAPE.rowDims());
        ridge.fill(0.3);
        LlaInputs own = inputs.withRidge(ridge);
        ExactQuery query = new ExactQuery(SHAPE, OPTIONS, own, 4);
        query.backward(ExactQuery.values(g, 12, 3));
        ridge.set(4, 0.3 + STEP);
        double above = loss(own);
        ridge.set(4, 0.3 - STEP);
        assertEquals((above - loss(own)) / (2 * STEP), query.dridge(), 1e-7);
    }

    /** Central difference of the loss by one element. */
    private double slope(Tensor tensor, long at) {
        double value = tensor.get(at);
        tensor.set(at, value + STEP);
        double above = loss(inputs);
        tensor.set(at, value - STEP);
        double below = loss(inputs);
        tensor.set(at, value);
        return (above - below) / (2 * STEP);
    }

    private double loss(LlaInputs at) {
        double loss = 0;
        for (long row = 0; row < SHAPE.rows(); row++) {
            double[] o = new ExactQuery(SHAPE, OPTIONS, at, row).output();
            for (int c = 0; c < 3; c++) {
                loss += g.get(row * 3 + c) * o[c];
            }
        }
        return loss;
    }
}
