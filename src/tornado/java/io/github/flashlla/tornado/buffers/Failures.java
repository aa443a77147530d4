package io.github.flashlla.tornado.buffers;

import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/** What failed of work that is done side by side and has to end as a whole: the first failure is thrown, and tells of the others. */
public final class Failures {
    private Throwable first;

    /** Does this, and keeps what it throws. */
    public void in(Runnable work) {
        of(() -> {
            work.run();
            return null;
        });
    }

    /** The same for work with a value, which is null if it fails. */
    public <T> T of(Supplier<T> work) {
        try {
            return work.get();
        } catch (CompletionException e) {
            add(e.getCause() == null ? e : e.getCause());
        } catch (RuntimeException | Error e) {
            add(e);
        }
        return null;
    }

    private void add(Throwable failure) {
        if (first == null) {
            first = failure;
        } else if (first != failure) {
            first.addSuppressed(failure);
        }
    }

    /** Throws the first, if there is any. */
    public void throwFirst() {
        rethrow(first);
    }

    /** Throws what copies or runs threw, which declare no exceptions; null for nothing. */
    static void rethrow(Throwable failure) {
        switch (failure) {
            case null -> { }
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new CompletionException(thrown);
        }
    }
}
