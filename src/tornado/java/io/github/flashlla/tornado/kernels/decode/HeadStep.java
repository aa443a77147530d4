package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.CgDecodeState.ACTIVE;
import static io.github.flashlla.tornado.kernels.decode.CgDecodeState.FACTS;
import static io.github.flashlla.tornado.kernels.decode.CgDecodeState.FINISH;
import static io.github.flashlla.tornado.kernels.decode.CgDecodeState.PLAN;

import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A head behind a pass, and the numbers it leaves for the next one: what the kernels that take a step of the solve have in common. Like
 * {@link DecodeSplit}, no object in a kernel.
 */
final class HeadStep {
    /** Where its numbers lie. */
    final int fact;
    /** Whether its unit took the pass, and whether the head itself iterates. */
    final float passed;
    final float active;
    /** What its unit did. */
    final int unitsPlan;
    /** Splits of a unit that finishes. */
    final int finishing;
    /** Splits that a head has room for: units that multiply and units that finish share the parts of a pass. */
    final int rooms;
    /** Those that have parts of this head; 0 where it does not iterate. */
    final int sums;
    private float mean;
    private float passes;
    private float iterations;

    /**
     * @param head of B*H
     * @param hw heads of a unit
     */
    HeadStep(FloatArray facts, IntArray sizes, int head, int hw, int pass) {
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        finishing = DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS);
        fact = head * FACTS;
        passed = CgDecodeState.unitActive(facts, head / hw, hw, pass);
        active = facts.get(fact + ACTIVE + pass % 2);
        unitsPlan = CgDecodeState.unitPlan(facts, head / hw, hw, pass);
        rooms = Math.max(finishing, splits);
        sums = (unitsPlan == FINISH ? finishing : splits) * (int) active;
    }

    /** The next plan of a head that does not go on: it may wait for others of its unit. */
    float plan(FloatArray facts, int pass) {
        float plan = facts.get(fact + PLAN + pass % 2);
        if (active > 0) {
            plan = FINISH;
        }
        if (unitsPlan == FINISH) {
            plan = 0;
        }
        return plan;
    }

    /** Reads what {@link #write} adds to, which one thread of the group then overwrites. */
    void read(FloatArray facts, float step, float excess) {
        mean = facts.get(fact + CgDecodeState.MEAN) + step * (facts.get(fact + CgDecodeState.MEAN_PRODUCT) + excess);
        passes = facts.get(fact + CgDecodeState.PASSES);
        iterations = facts.get(fact + CgDecodeState.ITERATIONS);
    }

    /** By one thread, behind a barrier for the reads of all others. */
    void write(FloatArray facts, int pass, float step, float rr, float bb, float goesOn, float plan, float meanProduct) {
        facts.set(fact + CgDecodeState.MEAN, mean);
        facts.set(fact + CgDecodeState.MEAN_PRODUCT, meanProduct);
        facts.set(fact + CgDecodeState.RESIDUAL, TornadoMath.sqrt(rr / Math.max(bb, 1e-30f)));
        facts.set(fact + CgDecodeState.ITERATIONS, iterations + active);
        facts.set(fact + CgDecodeState.RR, rr);
        facts.set(fact + CgDecodeState.PASSES, passes + passed);
        facts.set(fact + ACTIVE + (pass + 1) % 2, goesOn);
        facts.set(fact + PLAN + (pass + 1) % 2, plan);
        if (unitsPlan == FINISH) {
            facts.set(fact + CgDecodeState.FINISHING_STEP, step);
            facts.set(fact + CgDecodeState.FINISHING_SPLITS, finishing);
        }
        if (passed > 0) {
            facts.set(fact + CgDecodeState.STEP, step);
        }
    }
}
