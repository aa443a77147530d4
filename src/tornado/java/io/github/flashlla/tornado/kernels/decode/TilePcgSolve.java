package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TilePcg.DIM;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link TilePcg}'s solve between passes: conjugate gradients with M^-1. */
public final class TilePcgSolve {
    /** A pass is taken for the last one where the residual expected after it is this part of the tolerance, or less. */
    private static final float SURE = 0.5f;

    private TilePcgSolve() {}

    /**
     * A step of the solve, and the next direction: what M^-1 makes of the residual, conjugate to the last one and to q. One work-group a head.
     *
     * @param parts from {@link TileDecodePass}
     * @param hw heads of a unit
     * @param pass its number
     * @param launched number of the pass, plus 1, up to which iterations are launched for certain
     */
    public static void advance(KernelContext context, FloatArray q, FloatArray ridges, FloatArray parts, FloatArray inverses, FloatArray state,
            FloatArray facts, IntArray sizes, FloatArray settings, int hw, int pass, int launched) {
        float tolerance = settings.get(DecodeSizes.TOLERANCE);
        int d = context.localIdx;
        int head = context.groupIdx;
        int vectors = head * CgDecodeState.VECTORS * DIM + d;
        HeadStep mine = new HeadStep(facts, sizes, head, hw, pass);
        float ridge = ridges.get(head);
        float[] ay = context.allocateFloatLocalArray(DIM);
        float[] localR = context.allocateFloatLocalArray(DIM);
        float[] localY = context.allocateFloatLocalArray(DIM);
        float[] localAq = context.allocateFloatLocalArray(DIM);
        float[] localQ = context.allocateFloatLocalArray(DIM);
        float[] localMean = context.allocateFloatLocalArray(DIM);
        float[] next = context.allocateFloatLocalArray(DIM);

        float excess = 0;
        float sum = 0;
        for (int s = 0; s < mine.sums; s++) {
            excess += parts.get((head * mine.rooms + s) * (DIM + 1) + DIM);
            sum += parts.get((head * mine.rooms + s) * (DIM + 1) + d);
        }
        float oldY = state.get(vectors + CgDecodeState.Y * DIM);
        // sum p (d - zbar.y) is 0 but for rounding; about zbar it does no harm
        float zbar = state.get(vectors + CgDecodeState.ZBAR * DIM);
        ay[d] = sum - excess * zbar + ridge * oldY;
        localMean[d] = zbar;
        localQ[d] = q.get(head * DIM + d);
        localY[d] = oldY;
        localR[d] = state.get(vectors + CgDecodeState.R * DIM);
        localAq[d] = state.get(vectors + CgDecodeState.AQ * DIM);
        context.localBarrier();
        float yAy = 0;
        float ry = 0;
        for (int i = 0; i < DIM; i++) {
            yAy += localY[i] * ay[i];
            ry += localR[i] * localY[i];
        }
        float step = 0;
        float goesOn = 0; // where rounding has eaten the direction, what there is is kept
        if (yAy > 0) {
            step = mine.active * ry / yAy;
            goesOn = mine.active;
        }
        float rr = 0;
        float solved = 0;
        int inverse = head / hw * (DIM * DIM) + d;
        for (int i = 0; i < DIM; i++) {
            float r = localR[i] - step * ay[i];
            rr += r * r;
            solved += inverses.get(inverse + i * DIM) * r;
        }
        next[d] = solved;
        float bb = facts.get(mine.fact + CgDecodeState.BB);
        float oldRr = facts.get(mine.fact + CgDecodeState.RR);
        float qAq = facts.get(mine.fact + CgDecodeState.QAQ);
        if (rr <= tolerance * tolerance * bb) {
            goesOn = 0;
        }
        context.localBarrier();
        float overlap = 0;
        float overlapQ = 0;
        for (int i = 0; i < DIM; i++) {
            overlap += next[i] * ay[i];
            overlapQ += next[i] * localAq[i];
        }
        float turn = 0;
        float alongQ = 0;
        if (goesOn > 0) {
            turn = -overlap / yAy;
        }
        if (qAq > 0) {
            alongQ = overlapQ / qAq;
        }
        float plan = mine.plan(facts, pass);
        if (goesOn > 0) {
            plan = CgDecodeState.FINISH;
            if (pass + 2 < launched && rr * rr > SURE * SURE * tolerance * tolerance * bb * oldRr) {
                plan = CgDecodeState.MULTIPLY;
            }
        }
        float meanProduct = 0;
        for (int i = 0; i < DIM; i++) {
            meanProduct += localMean[i] * (next[i] + turn * localY[i] - alongQ * localQ[i]);
        }
        mine.read(facts, step, excess);
        context.globalBarrier();
        state.set(vectors + CgDecodeState.X * DIM, state.get(vectors + CgDecodeState.X * DIM) + step * oldY);
        state.set(vectors + CgDecodeState.R * DIM, localR[d] - step * ay[d]);
        state.set(vectors + CgDecodeState.Y * DIM, goesOn > 0 ? solved + turn * oldY - alongQ * localQ[d] : 0f);
        if (d == 0) {
            mine.write(facts, pass, step, rr, bb, goesOn, plan, goesOn > 0 ? meanProduct : 0f);
        }
    }
}
