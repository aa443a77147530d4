package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.support.SoftmaxExpected;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Softmax attention of the tile kernel, run by the JVM, against float64. */
class TileSoftmaxOnJvm {

    /** @param spike key 500, which the maximum is not taken from, is so many times q's first row; not if 0 */
    @ParameterizedTest
    @CsvSource({
        "2, 1, 70, 70, 64, 64, true, 0",
        "4, 2, 64, 64, 64, 64, false, 0",
        "1, 1, 150, 150, 40, 33, true, 0",
        "1, 1, 30, 11, 17, 64, true, 0",
        "1, 1, 1, 1, 64, 64, true, 0",
        "1, 1, 16, 900, 64, 64, false, 5",
        "1, 1, 16, 900, 64, 64, false, 24",
        "1, 1, 17, 70, 96, 72, true, 0",
        "1, 1, 17, 70, 64, 128, true, 0",
        "1, 1, 17, 70, 128, 20, false, 0"})
    void agrees(int heads, int kvHeads, int Sq, int Sk, int D, int Dv, boolean causal, int spike) {
        AttentionShape shape = new AttentionShape(1, heads, kvHeads, Sq, Sk, D, Dv);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT16, 5);
        for (int d = 0; spike != 0 && d < D; d++) {
            inputs.k().set(500 * D + d, spike * inputs.q().get(d));
        }
        LlaOptions options = LlaOptions.defaults().withCausal(causal);
        SoftmaxBuffers b = SoftmaxBuffers.allocate(shape, TileState.packedHalves(kvHeads, Sk, D, Dv), 0);
        FloatArrays.load(inputs.q(), b.q());
        FloatArrays.load(inputs.k(), b.k());
        FloatArrays.load(inputs.v(), b.v());
        b.o().init(Float.NaN);
        b.logSumExp().init(Float.NaN);
        IntArray sizes = SoftmaxData.sizes(shape, options, TileState.paddedKeys(Sk));
        FloatArray scale = SoftmaxData.scale(shape, options);
        JvmGroup.run(b.packed().getSize() / 8 / TileForward.PACK_THREADS, TileForward.PACK_THREADS,
                ctx -> TileForward.pack(ctx, b.k(), b.v(), b.packed(), sizes, D, Dv,
                        TilePieces.stride(TileState.dims(D)), TilePieces.stride(TileState.dims(Dv))));
        JvmGroup.run(heads * Math.ceilDiv(Sq, TileSoftmax.BLOCK), TileSoftmax.THREADS, ctx -> TileSoftmax.softmax(ctx, b.q(), b.packed(),
                b.o(), b.logSumExp(), sizes, scale, D, Dv, TileState.dims(D), TileState.dims(Dv)));
        LlaResult found = new LlaResult(shape, DataType.FLOAT32, false);
        FloatArrays.store(b.o(), found.output());
        FloatArrays.store(b.logSumExp(), found.logSumExp());
        SoftmaxExpected.of(inputs, options).check(found, 2e-3, 1e-3);
    }
}
