package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.tornado.buffers.Storing;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.support.TestDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies that a run departs from, of a kernel that adds two arrays; and what the clock says of it. */
class TransfersOnDevice {
    /** Two parts and a piece of a third. */
    private static final int SIZE = 5 << 19;
    private static final int THREADS = 64;
    private static final long PAGE = 4096;

    private final BackendDevice device = BackendDevices.open(TestDevice.NAME);
    private final FloatArray a = new FloatArray(SIZE);
    private final FloatArray b = new FloatArray(SIZE);
    private final FloatArray sum = new FloatArray(SIZE);
    private TornadoExecutionPlan plan;

    static void add(KernelContext context, FloatArray a, FloatArray b, FloatArray sum) {
        int i = context.globalIdx;
        sum.set(i, a.get(i) + b.get(i));
    }

    @BeforeEach
    void build() throws Exception {
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("transfers" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, a, b, sum);
        new TaskAppender(device, graph, grids).task("add", TaskAppender.groups(SIZE / THREADS, THREADS),
                tasks -> tasks.task("add", TransfersOnDevice::add, new KernelContext(), a, b, sum));
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, sum);
        plan = device.configureShared(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
        if (device.isProfiled()) {
            plan.withProfiler(ProfilerMode.SILENT);
        }
        a.init(1);
        b.init(2);
        sum.init(-1);
    }

    @AfterEach
    void close() throws Exception {
        device.inTurn(() -> {
            plan.close();
            return null;
        });
    }

    private Timing run(Transfers transfers) throws Exception {
        long start = System.nanoTime();
        var result = device.inTurn(transfers, () -> plan.execute());
        return ProfiledTimes.of(device, transfers, result, System.nanoTime() - start, 0);
    }

    @Test
    void partsComeInOrderAndHoldWhatTheDeviceWrote() throws Exception {
        Transfers transfers = new Transfers();
        List<Integer> ends = new ArrayList<>();
        transfers.receive(sum, (from, to) -> {
            assertEquals(ends.isEmpty() ? 0 : ends.getLast(), from);
            assertEquals(3, sum.get(from));
            assertEquals(3, sum.get(to - 1));
            ends.add(to);
        });
        run(transfers);
        assertEquals(List.of(1 << 20, 2 << 20, SIZE), ends);
    }

    @Test
    void aTensorGetsAllParts() throws Exception {
        Tensor tensor = Tensor.allocate(DataType.FLOAT64, SIZE);
        AtomicInteger seen = new AtomicInteger();
        Storing storing = new Storing(sum, tensor, 5, (at, values, count) -> seen.addAndGet(count));
        Transfers transfers = new Transfers();
        transfers.receive(sum, storing);
        run(transfers);
        storing.finish();
        assertEquals(SIZE, seen.get());
        for (int i = 0; i < SIZE; i++) {
            assertEquals(3, tensor.get(i), 0, "element " + i);
        }
    }

    @Test
    void whatIsSparedStaysAsItWasOnTheDevice() throws Exception {
        run(new Transfers());
        a.init(10);
        b.init(20);
        Transfers transfers = new Transfers();
        transfers.spare(a);
        run(transfers);
        assertEquals(21, sum.get(SIZE - 1));
    }

    /** Each part is asked for as far as it reaches, and holds what was filled by then; what comes later is not sent with it. */
    @Test
    void whatIsStillFilledIsWaitedFor() throws Exception {
        List<Integer> ends = new ArrayList<>();
        Transfers transfers = new Transfers();
        transfers.fill(b, new Transfers.Filling() {
            @Override
            public void await(int end) {
                for (int i = ends.isEmpty() ? 0 : ends.getLast(); i < end; i++) {
                    b.set(i, i % 1000);
                }
                ends.add(end);
            }

            @Override
            public CompletableFuture<Void> all() {
                return CompletableFuture.completedFuture(null);
            }
        });
        run(transfers);
        assertEquals(SIZE, ends.getLast());
        for (int i = 0; i < SIZE; i++) {
            assertEquals(i % 1000 + 1, sum.get(i), "element " + i);
        }
    }

    @Test
    void whatCannotBeFilledEndsTheRun() {
        Transfers transfers = new Transfers();
        transfers.fill(b, new Transfers.Filling() {
            @Override
            public void await(int end) {
                throw new IllegalStateException("closed");
            }

            @Override
            public CompletableFuture<Void> all() {
                return CompletableFuture.completedFuture(null);
            }
        });
        assertThrows(Exception.class, () -> run(transfers));
    }

    /** Where the elements lie, and what lies in front of them, is the caller's. */
    @Test
    void anArrayIsSentFromOtherMemory() throws Exception {
        assumeTrue(device.sendsInPlace());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(2 * PAGE + (long) SIZE * Float.BYTES, PAGE);
            page.fill((byte) -1);
            for (long at : new long[] {16, 68, PAGE - 4, PAGE + 4000}) {
                MemorySegment elements = page.asSlice(at, (long) SIZE * Float.BYTES);
                for (int i = 0; i < SIZE; i++) {
                    elements.setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 1000 + at);
                }
                Transfers transfers = new Transfers();
                assertTrue(transfers.from(a, elements));
                run(transfers);
                for (int i = 0; i < SIZE; i++) {
                    assertEquals(i % 1000 + at + 2, sum.get(i), "element " + i + " of those at " + at);
                }
            }
        }
        assertEquals(1, a.get(7));
        run(new Transfers());
        assertEquals(3, sum.get(SIZE - 1), "later runs send the array again");
    }

    @Test
    void otherMemoryMustBeOpenNativeOfTheSameSizeAndWithinAPage() {
        long bytes = (long) SIZE * Float.BYTES;
        Transfers transfers = new Transfers();
        MemorySegment closed;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(2 * PAGE + bytes, PAGE);
            assertFalse(transfers.from(a, page.asSlice(0, bytes)), "the page before may not be there");
            assertFalse(transfers.from(a, page.asSlice(PAGE + 12, bytes)), "nor all of the header");
            assertFalse(transfers.from(a, page.asSlice(64, bytes - 4)));
            closed = page.asSlice(64, bytes);
        }
        assertFalse(transfers.from(a, closed));
        assertFalse(transfers.from(a, MemorySegment.ofArray(new float[SIZE])));
    }

    /** Of the run alone, whatever ran before. */
    @Test
    void kernelsAndCopiesTakeTime() throws Exception {
        run(new Transfers());
        run(new Transfers());
        Timing timing = run(new Transfers());
        assertTrue(timing.kernelNanos() > 0 && timing.copyInNanos() > 0 && timing.copyOutNanos() >= 0, timing.toString());
        boolean apart = !device.isProfiled(); // through SPIR-V on PoCL, the profiler counts some of a kernel with a copy
        assertTrue(!apart || timing.kernelNanos() + timing.copyInNanos() + timing.copyOutNanos() <= timing.wallNanos(), timing.toString());
    }

    /** Plans of a device run in turn on different threads, and a run's times are asked for when the next may have begun. */
    @Test
    void timesStayThoseOfTheirRun() throws Exception {
        Transfers first = new Transfers();
        device.inTurn(first, () -> plan.execute());
        Transfers.Measured measured = first.measured();
        Transfers second = new Transfers();
        device.inTurn(second, () -> plan.execute());
        assertSame(measured, first.measured());
        assertNotSame(measured, second.measured());
    }
}
