package io.github.flashlla.jvm.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DecodeCostTest {

    /** What was measured on a 2-core machine (docs/algorithms/decode.md). */
    @ParameterizedTest
    @CsvSource({
        "64,  64, 128,    10, MATRIX_FREE", // a Cholesky factor costs more than a short context
        "64,  64, 16384,  10, MATRIX_FREE",
        "64,  64, 16384,  20, COVARIANCE", // a small ridge
        "64,  64, 131072, 10, COVARIANCE",
        "64,  64, 16384,   3, MATRIX_FREE", // a large ridge is solved in few iterations
        "256, 256, 2048,  11, MATRIX_FREE", // D^2 work
        "32,  32, 16384,  13, COVARIANCE",
        "64,   8, 131072, 10, MOMENTS", // narrow values: their moments cost less than reading k again
    })
    void choosesWhatWasFaster(int headDim, int valueDim, int length, int iterations, DecodeMethod expected) {
        KvCacheShape shape = new KvCacheShape(1, 1, 1 << 17, headDim, valueDim, DataType.FLOAT32);
        assertEquals(expected, DecodeCost.choose(shape, 1, length, iterations));
    }
}
