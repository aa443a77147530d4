package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class ProtocolTest {
    private static final long MS = 1_000_000;

    @Test
    void shortRunsGoOnForTheSamplingTime() {
        assertTrue(Protocol.DEFAULT.wantsMore(runs(4, 1000)));
        assertFalse(Protocol.DEFAULT.wantsMore(runs(5, 1000)));
        assertTrue(Protocol.DEFAULT.wantsMore(runs(19, 100)));
        assertFalse(Protocol.DEFAULT.wantsMore(runs(20, 100)));
        assertFalse(Protocol.DEFAULT.wantsMore(runs(50, 1)), "enough is enough");
    }

    @Test
    void runsThatScatterGoOnForThreeTimesAsLong() {
        long[] scattered = LongStream.range(0, 5).map(i -> (450 + 50 * i) * MS).toArray();
        assertTrue(Protocol.DEFAULT.wantsMore(scattered));
        assertFalse(Protocol.DEFAULT.withExactly(5).wantsMore(scattered));
        assertFalse(Protocol.DEFAULT.wantsMore(LongStream.range(0, 12).map(i -> (450 + 50 * (i % 5)) * MS).toArray()));
    }

    private static long[] runs(int count, long milliseconds) {
        long[] samples = new long[count];
        Arrays.fill(samples, milliseconds * MS);
        return samples;
    }
}
