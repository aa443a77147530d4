package io.github.flashlla.precise;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MagnitudeTest {

    @Test
    void looksAtNoElementBesidesThoseOfAView() {
        Tensor whole = Tensor.allocate(DataType.FLOAT32, 4, 6);
        whole.fill(1);
        whole.set(5, 100);
        Tensor view = whole.part(1, 0, 5);
        assertFalse(view.isRowMajor());
        assertEquals(1, Magnitude.largest(view));
        view.set(view.size() - 1, -3);
        assertEquals(3, Magnitude.largest(view));
        assertTrue(Magnitude.allFinite(view, whole));
        whole.set(5, Double.NaN);
        assertTrue(Magnitude.allFinite(view));
        assertFalse(Magnitude.allFinite(view, whole));
    }

    /** More elements than one chunk, and the last one counts. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void findsTheLargestElementOfEveryType(DataType type) {
        Tensor tensor = Tensor.allocate(type, 3, 7001);
        tensor.set(5, 2);
        assertEquals(2, Magnitude.largest(tensor));
        tensor.set(tensor.size() - 1, -4);
        assertEquals(4, Magnitude.largest(tensor));
        assertTrue(Magnitude.allFinite(tensor));
        tensor.set(16384, Double.NEGATIVE_INFINITY);
        assertFalse(Magnitude.allFinite(tensor));
        tensor.set(16384, Double.NaN);
        assertFalse(Magnitude.allFinite(tensor));
        assertTrue(Float.isNaN(Magnitude.largest(tensor)));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void measuresKeysFromTheirMean(DataType type) {
        AttentionShape shape = new AttentionShape(1, 2, 2, 1, 9000, 2, 1); // a head's keys are two parts
        Tensor k = Tensor.allocate(type, shape.keyDims());
        k.fill(8);
        k.set(2 * 8999, 8 + 4); // the mean of head 0 moves by 4 / 9000 only
        Tensor q = Tensor.allocate(type, shape.queryDims());
        q.set(3, -3);
        Tensor v = Tensor.allocate(type, shape.valueDims());
        v.set(17999, 5);
        Units.Sizes sizes = Magnitude.sizes(new LlaInputs(q, k, v, null));
        assertEquals(4, sizes.keys().spread()[0], 1e-3);
        assertEquals(0, sizes.keys().spread()[1]);
        assertEquals(3, sizes.query());
        assertEquals(12, sizes.keys().key());
        assertEquals(5, sizes.value());
        double[] norms = Magnitude.rowNorms(k, 2);
        assertEquals(Math.sqrt(128), norms[0], 1e-12);
        assertEquals(Math.sqrt(64 + 144), norms[8999], 1e-12);
    }
}
