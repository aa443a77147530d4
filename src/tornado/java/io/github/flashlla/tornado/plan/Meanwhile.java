package io.github.flashlla.tornado.plan;

import io.github.flashlla.tornado.buffers.Failures;
import io.github.flashlla.tornado.device.Transfers;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/** What other threads of the host compute while this one waits for the device. */
final class Meanwhile<T> {
    private final CompletableFuture<T> work;

    /** @param before what has to end first */
    Meanwhile(CompletableFuture<?> before, Supplier<T> work) {
        this.work = before.thenApplyAsync(_ -> work.get());
    }

    /** Its value; throws what the work threw. */
    T await() {
        Failures failures = new Failures();
        T value = failures.of(work::join);
        failures.throwFirst();
        return value;
    }

    /**
     * The same for work that begins once inputs are there, beside others that may fail.
     *
     * @return null if it failed. Then {@code failures} has why, unless an input could not be copied: the run tells of that.
     */
    T await(Transfers transfers, Failures failures) {
        return failures.of(() -> {
            work.handle((value, thrown) -> null).join();
            return transfers.filled().isCompletedExceptionally() ? null : await();
        });
    }
}
