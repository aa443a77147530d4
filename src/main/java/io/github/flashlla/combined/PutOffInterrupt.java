package io.github.flashlla.combined;

/** Clears this thread's interrupt, which would spoil what has to end first, and sets it again when it is closed. */
final class PutOffInterrupt implements AutoCloseable {
    private boolean interrupted = Thread.interrupted();

    /** Does the same to one that has come since. */
    void again() {
        interrupted |= Thread.interrupted();
    }

    @Override
    public void close() {
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
