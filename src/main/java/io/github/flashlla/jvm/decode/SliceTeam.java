package io.github.flashlla.jvm.decode;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Threads that work together on one pass after another over a unit's slices. One leads and starts each pass. The others
 * spin between passes: a pass over 65536 keys takes a core 0.5 ms, and waking a sleeping thread takes tens of microseconds.
 */
public final class SliceTeam {

    /** Spins before a waiting thread yields its core, and before it sleeps: about 20 and about 100 microseconds. */
    private static final int SPINS = 500;
    private static final int YIELDS = 600;
    private static final long NAP_NANOS = 20_000;

    /** One pass: slices are handed out to whoever is free. */
    private static final class Pass {
        final HeadGroupStep.Job job;
        final AtomicInteger next = new AtomicInteger();
        final AtomicInteger left;
        volatile Throwable failure;

        Pass(HeadGroupStep.Job job, int slices) {
            this.job = job;
            this.left = new AtomicInteger(slices);
        }

        void work(SliceWalk tiles, int slices) {
            for (int slice = next.getAndIncrement(); slice < slices; slice = next.getAndIncrement()) {
                try {
                    if (failure == null) {
                        job.run(tiles, slice);
                    }
                } catch (Throwable t) {
                    failure = t;
                } finally {
                    left.getAndDecrement();
                }
            }
        }
    }

    private final int slices;
    private volatile Pass pass;
    private volatile boolean dismissed;

    public SliceTeam(int slices) {
        this.slices = slices;
    }

    /** By the leader: runs a job on every slice, with whoever helps, and returns when all are done; throws what any of them threw. */
    public void run(SliceWalk tiles, HeadGroupStep.Job job) {
        Pass mine = new Pass(job, slices);
        pass = mine;
        mine.work(tiles, slices);
        for (int looks = 0; mine.left.get() > 0; looks++) {
            rest(looks);
        }
        switch (mine.failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable t -> throw new IllegalStateException(t);
        }
    }

    /** By the others: helps with every pass until {@link #dismiss}. */
    public void help(SliceWalk tiles) {
        Pass seen = null;
        for (int looks = 0; !dismissed; looks++) {
            Pass now = pass;
            if (now != seen) {
                now.work(tiles, slices);
                seen = now;
                looks = 0;
            } else {
                rest(looks);
            }
        }
    }

    /** By the leader: there are no more passes. */
    public void dismiss() {
        dismissed = true;
    }

    private static void rest(int looks) {
        if (looks < SPINS) {
            Thread.onSpinWait();
        } else if (looks < YIELDS) {
            Thread.yield();
        } else {
            LockSupport.parkNanos(NAP_NANOS);
        }
    }
}
