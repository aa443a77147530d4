package io.github.flashlla.spi;

import java.util.concurrent.atomic.AtomicReference;

/**
 * Lets one thread at a time use a plan or cache, while it and its device are open. Two threads at once would share its
 * scratch memory and get wrong numbers without an exception. A thread may nest its uses.
 */
public final class ExclusiveUse {
    private final DeviceState device;
    private final String busy;
    private final String gone;
    private final AtomicReference<Thread> user = new AtomicReference<>();
    private volatile boolean closed;

    private ExclusiveUse(DeviceState device, String busy, String gone) {
        this.device = device;
        this.busy = device.device() + ": " + busy;
        this.gone = device.device() + ": " + gone;
    }

    /** Name of the device, for messages. */
    public String device() {
        return device.device();
    }

    public static ExclusiveUse ofPlan(DeviceState device) {
        return new ExclusiveUse(device, "this plan runs on another thread; make a plan for each thread",
                "this plan is closed; make a new one from its device");
    }

    public static ExclusiveUse ofDecodePlan(DeviceState device) {
        return new ExclusiveUse(device, "this decode plan runs on another thread; make a cache and a plan for each thread",
                "this decode plan is closed; make a new one from its cache");
    }

    public static ExclusiveUse ofCache(DeviceState device) {
        return new ExclusiveUse(device, "this key/value cache is in use on another thread; make a cache for each thread",
                "this key/value cache is closed; make a new one from its device");
    }

    /** @throws IllegalStateException if it or its device is closed, or another thread uses it */
    public void run(Runnable use) {
        boolean entered = enter();
        try {
            requireOpen();
            use.run();
        } finally {
            leave(entered);
        }
    }

    /**
     * Closes it, its device being open or not; later calls do nothing.
     *
     * @throws IllegalStateException if another thread uses it
     */
    public void close(Runnable release) {
        if (closed) {
            return;
        }
        boolean entered = enter();
        try {
            if (!closed) {
                closed = true;
                release.run();
            }
        } finally {
            leave(entered);
        }
    }

    /** Closes it after a failure that left it unusable, without releasing anything. */
    public void abandon() {
        closed = true;
    }

    /** @throws IllegalStateException if it or its device is closed */
    public void requireOpen() {
        if (closed) {
            throw new IllegalStateException(gone);
        }
        device.requireOpen();
    }

    private boolean enter() {
        if (user.get() == Thread.currentThread()) {
            return false;
        }
        if (!user.compareAndSet(null, Thread.currentThread())) {
            throw new IllegalStateException(busy);
        }
        return true;
    }

    private void leave(boolean entered) {
        if (entered) {
            user.set(null);
        }
    }
}
