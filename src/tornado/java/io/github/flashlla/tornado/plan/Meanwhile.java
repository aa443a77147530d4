package io.github.flashlla.tornado.plan;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/** What other threads of the host compute while this one waits for the device. */
final class Meanwhile<T> {
    private final CompletableFuture<T> work;

    /** @param before what has to end first */
    Meanwhile(CompletableFuture<?> before, Supplier<T> work) {
        this.work = before.thenApplyAsync(_ -> work.get());
    }

    /** Waits for its end, whatever that is. */
    void end() {
        work.handle((value, thrown) -> null).join();
    }

    /** Its value; throws what the work threw. */
    T await() {
        try {
            return work.join();
        } catch (CompletionException e) {
            switch (e.getCause()) {
                case RuntimeException thrown -> throw thrown;
                case Error thrown -> throw thrown;
                default -> throw e;
            }
        }
    }
}
