package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Decoding by passes along directions, whose vectors and numbers lie as {@link CgDecodeState} has them. */
abstract class SolveTasks implements DecodeTasks {
    final AttentionShape shape;
    /** (B*H,{@value CgDecodeState#VECTORS},D) */
    final FloatArray state;
    /** (B*H,{@value CgDecodeState#FACTS}) */
    final FloatArray facts;

    SolveTasks(AttentionShape shape) {
        this.shape = shape;
        this.state = new FloatArray(queries() * CgDecodeState.VECTORS * shape.headDim());
        this.facts = new FloatArray(queries() * CgDecodeState.FACTS);
    }

    final int queries() {
        return shape.batch() * shape.heads();
    }

    @Override
    public FloatArray[] results() {
        return new FloatArray[] {state, facts};
    }

    @Override
    public FloatArray facts() {
        return facts;
    }

    @Override
    public FloatArray[] state() {
        return new FloatArray[] {state};
    }

    @Override
    public float logSumExp(int row) {
        return fact(row, CgDecodeState.LSE);
    }

    @Override
    public float residual(int row) {
        return fact(row, CgDecodeState.RESIDUAL);
    }

    @Override
    public int iterations(int row) {
        return (int) fact(row, CgDecodeState.ITERATIONS);
    }

    final float fact(int row, int number) {
        return facts.get(row * CgDecodeState.FACTS + number);
    }

    @Override
    public void kbar(int row, float[] to) {
        copy(row, CgDecodeState.KBAR, to);
    }

    @Override
    public void x(int row, float[] to) {
        copy(row, CgDecodeState.X, to);
    }

    private void copy(int row, int vector, float[] to) {
        FloatArrays.copy(state, (row * CgDecodeState.VECTORS + vector) * to.length, to);
    }
}
