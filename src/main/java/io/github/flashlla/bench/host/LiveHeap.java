package io.github.flashlla.bench.host;

import java.lang.management.ManagementFactory;

/** What this JVM's heap holds after a full collection: the difference of two calls is what was kept between them. */
public final class LiveHeap {
    private LiveHeap() {}

    public static long bytes() {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 3; i++) { // references freed by one collection's cleaners go with the next
            System.gc();
            least = Math.min(least, ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        }
        return least;
    }
}
