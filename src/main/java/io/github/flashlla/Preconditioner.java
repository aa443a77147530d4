package io.github.flashlla;

/** Preconditioner of the conjugate-gradient solve. */
public enum Preconditioner {
    NONE,
    /** The diagonal of A: sum p k*k - kbar*kbar + ridge. */
    JACOBI
}
