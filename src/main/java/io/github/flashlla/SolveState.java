package io.github.flashlla;

/** How far the linear solve of one query can be trusted. */
public enum SolveState {
    /** The true residual ||A x - b|| / ||b|| is within the tolerance. */
    SOLVED,
    /** The recurrence of conjugate gradients is within the tolerance, the true residual is not: float32 rounding limits it. */
    LIMITED_BY_ROUNDING,
    /** Neither is: a larger iteration cap, ridge or tolerance may help. */
    UNSOLVED;

    /**
     * @param residual true residual, or the recurrence's plus the rounding bound
     * @param recurrence residual as the recurrence carries it
     */
    static SolveState of(float residual, float recurrence, double tolerance) {
        if (residual <= tolerance) {
            return SOLVED;
        }
        return recurrence <= tolerance ? LIMITED_BY_ROUNDING : UNSOLVED; // NaN is unsolved
    }
}
