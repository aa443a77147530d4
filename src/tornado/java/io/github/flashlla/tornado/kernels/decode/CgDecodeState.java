package io.github.flashlla.tornado.kernels.decode;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** What the kernels of matrix-free decoding leave for each other: where a head's vectors and numbers lie, and who goes on. */
public final class CgDecodeState {
    /** Vectors of a head in {@code state}. */
    public static final int VECTORS = 6;
    public static final int X = 0;
    public static final int KBAR = 1;
    public static final int R = 2;
    public static final int Y = 3;
    public static final int ZBAR = 4;
    public static final int AQ = 5;

    /** Numbers of a head in {@code facts}; the first are those of {@link CovarianceDecode}. */
    public static final int FACTS = 21;
    public static final int TOP = 0;
    public static final int PER_WEIGHT = 1;
    /** sum p (z.x): what the mean of a must be taken off. */
    public static final int MEAN = 2;
    public static final int LSE = 3;
    public static final int RESIDUAL = 4;
    public static final int ITERATIONS = 5;
    public static final int RR = 6;
    public static final int BB = 7;
    public static final int QAQ = 8;
    /** Length of the first step, over scale. */
    public static final int FIRST_STEP = 9;
    public static final int STEP = 10;
    /** Passes that the unit took. */
    public static final int PASSES = 11;
    /** Whether the head iterates: before an even pass, before an odd one. */
    public static final int ACTIVE = 12;
    /** zbar.y of the next pass */
    public static final int MEAN_PRODUCT = 14;
    /** What {@link TensorCoreCgDecode} does next for the head: before an even pass, before an odd one. */
    public static final int PLAN = 15;
    /** Length of the step of the last pass that computed outputs. */
    public static final int FINISHING_STEP = 17;
    /** Splits of that pass. */
    public static final int FINISHING_SPLITS = 18;
    public static final int RIDGE = 19;
    /** Square of the residual that is allowed. */
    public static final int TARGET = 20;

    // plans; a unit follows the first of these that one of its heads has
    public static final int MULTIPLY = 1;
    public static final int FINISH = 2;

    private CgDecodeState() {}

    /** Keys of a split: whole tiles, as evenly as they go; the last splits have fewer, or none. */
    public static int keysPerSplit(int length, int splits, int tile) {
        return ((length + splits - 1) / splits + tile - 1) / tile * tile;
    }

    /** Whether a unit has anything left to solve before a pass. */
    public static float unitActive(FloatArray facts, int unit, int hw, int pass) {
        float active = 0;
        for (int h = 0; h < hw; h++) {
            active = Math.max(active, facts.get((unit * hw + h) * FACTS + ACTIVE + pass % 2));
        }
        return active;
    }

    /** The numbers of a head that has taken no pass yet, but for those of the step along q. */
    static void start(FloatArray facts, int fact, float active, float plan) {
        facts.set(fact + ITERATIONS, 0f);
        facts.set(fact + STEP, 0f);
        facts.set(fact + PASSES, 0f);
        facts.set(fact + ACTIVE, active);
        facts.set(fact + ACTIVE + 1, 0f);
        facts.set(fact + PLAN, plan);
        facts.set(fact + PLAN + 1, 0f);
        facts.set(fact + FINISHING_STEP, 0f);
        facts.set(fact + FINISHING_SPLITS, 0f);
    }

    /** What a unit's heads are to go through in a pass; 0 for nothing. */
    public static int unitPlan(FloatArray facts, int unit, int hw, int pass) {
        float far = 0;
        float near = 0;
        for (int h = 0; h < hw; h++) {
            float plan = facts.get((unit * hw + h) * FACTS + PLAN + pass % 2);
            far = Math.max(far, plan * (FINISH - plan)); // 1 for the one, 0 for the other
            near = Math.max(near, plan);
        }
        return (int) (near * (1 - far) + MULTIPLY * far);
    }
}
