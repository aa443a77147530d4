package io.github.flashlla.jvm.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.flashlla.jvm.WorkerPool;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SliceTeamTest {

    private static final int SLICES = 7;

    private interface Lead {
        void run(SliceTeam team);
    }

    private static void withTeam(int threads, Lead lead) {
        SliceTeam team = new SliceTeam(SLICES);
        try (WorkerPool pool = new WorkerPool(threads)) {
            pool.forEach(threads, threads, (worker, index) -> {
                if (index > 0) {
                    team.help(null);
                    return;
                }
                try {
                    lead.run(team);
                } finally {
                    team.dismiss();
                }
            });
        }
    }

    @Test
    void everyPassVisitsEverySliceOnceAndEndsBeforeTheNext() {
        for (int threads = 1; threads <= 4; threads++) {
            AtomicIntegerArray visits = new AtomicIntegerArray(SLICES);
            withTeam(threads, team -> {
                for (int pass = 1; pass <= 500; pass++) {
                    team.run(null, (tiles, slice) -> visits.incrementAndGet(slice));
                    for (int slice = 0; slice < SLICES; slice++) {
                        assertEquals(pass, visits.get(slice));
                    }
                }
            });
        }
    }

    @Test
    void whatASliceThrowsReachesTheLeader() {
        IllegalArgumentException thrown = new IllegalArgumentException("of slice 3");
        withTeam(3, team -> {
            assertSame(thrown, assertThrows(IllegalArgumentException.class, () -> team.run(null, (tiles, slice) -> {
                if (slice == 3) {
                    throw thrown;
                }
            })));
            team.run(null, (tiles, slice) -> {}); // and the next pass runs
        });
    }
}
