package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Devices;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class MemoryModeTest {

    /** In a process of its own, as a benchmark measures: the heap of this one also holds what other tests leave, and frees it when it likes. */
    private static Map<String, Map<Integer, Measurement>> profile(List<Integer> lengths) {
        Grid grid = new Grid(List.of(Mode.MEMORY), List.of(1), List.of(1), null, lengths, null, List.of(32), null, null,
                null, null, null, null, null, null);
        Suite suite = new Suite("memory", null, grid.tasks(), new Protocol(1, 0, 0, 60));
        return new BenchmarkRun(suite, Devices.select(List.of("jvm")), new BenchmarkListener() { }).run().measurements().stream()
                .collect(Collectors.groupingBy(m -> m.workload().mode(), Collectors.toMap(m -> m.workload().keyLength(), m -> m)));
    }

    private static long workingSet(Measurement m) {
        assertEquals(Status.OK, m.status(), m.message());
        return m.memory().workingSetBytes();
    }

    /** Naive grows as S^2, blocked passes as S at most, and decode not at all. */
    @Test
    void workingSetsGrowAsTheirAlgorithmsSay() {
        Map<String, Map<Integer, Measurement>> modes = profile(List.of(512, 1024, 2048));
        assertEquals(4, modes.size());
        Map<Integer, Measurement> naive = modes.get("naive");
        double growth = (double) workingSet(naive.get(2048)) / workingSet(naive.get(1024));
        assertTrue(growth > 3.5 && growth < 4.5, "naive grew by " + growth);
        assertTrue(workingSet(naive.get(2048)) >= 2L * 2048 * 2048 * 4, "two matrices of floats");
        for (String blocked : List.of("fwd", "fwd+bwd")) {
            double factor = (double) workingSet(modes.get(blocked).get(2048)) / workingSet(modes.get(blocked).get(1024));
            assertTrue(factor < 2.5, blocked + " grew by " + factor);
            assertTrue(workingSet(modes.get(blocked).get(2048)) < workingSet(naive.get(2048)) / 2);
        }
        long added = workingSet(modes.get("decode").get(2048)) - workingSet(modes.get("decode").get(1024));
        assertTrue(added < 100_000, "decode grew by " + added + " bytes");
    }
}
