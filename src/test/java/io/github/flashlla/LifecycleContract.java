package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.verify.RandomInputs;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What every device's plans and caches refuse: what is closed, what another thread is at, and inputs of no use. */
public interface LifecycleContract {
    AttentionShape SHAPE = new AttentionShape(1, 2, 1, 70, 90, 16, 16);
    KvCacheShape CACHE = new KvCacheShape(1, 1, 400, 16, 16, DataType.FLOAT32);
    LlaOptions OPTIONS = LlaOptions.defaults().withRidge(10).withMaxIterations(3).withKeepState(true);

    String BELONGS = "the memory of %s belongs to one thread";

    /** For one test, which closes it. */
    Device open();

    /** For a test of what closing does: not a device that is open for other tests, too. */
    default Device openToClose() {
        return open();
    }

    private static LlaInputs inputs() {
        return RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
    }

    private static Tensor tokens(long count) {
        return Tensor.allocate(DataType.FLOAT32, 1, 1, count, 16);
    }

    private static void refused(Class<? extends RuntimeException> type, String said, Executable use) {
        String message = assertThrows(type, use).getMessage();
        assertTrue(message.contains(said), message);
    }

    private static void refusedAsClosed(String what, Executable use) {
        refused(IllegalStateException.class, what + " is closed; ", use);
    }

    @Test
    default void plansAreOfNoUseOnceClosed() {
        try (Device device = open(); KvCache cache = device.kvCache(CACHE)) {
            LlaPlan plan = device.plan(SHAPE, OPTIONS);
            LlaResult result = plan.newResult();
            plan.forward(inputs(), result);
            plan.close();
            plan.close();
            refusedAsClosed("this plan", () -> plan.forward(inputs(), result));
            refusedAsClosed("this plan", () -> plan.backward(inputs(), result, result.output(), plan.newGradients()));
            DecodePlan decodePlan = cache.decodePlan(2, OPTIONS);
            decodePlan.close();
            decodePlan.close();
            refusedAsClosed("this decode plan", () -> decode(decodePlan));
        }
    }

    private static void decode(DecodePlan plan) {
        plan.decode(Tensor.allocate(DataType.FLOAT32, plan.shape().queryDims()), plan.newResult());
    }

    @Test
    default void cachesAreOfNoUseOnceClosed() {
        try (Device device = open()) {
            KvCache cache = device.kvCache(CACHE);
            cache.append(tokens(3), tokens(3));
            DecodePlan plan = cache.decodePlan(2, OPTIONS);
            cache.close();
            cache.close();
            String what = "this key/value cache";
            refusedAsClosed(what, () -> cache.append(tokens(1), tokens(1)));
            refusedAsClosed(what, () -> cache.append(0, tokens(1).reshape(1, 1, 16), tokens(1).reshape(1, 1, 16)));
            refusedAsClosed(what, () -> cache.truncate(0, 1));
            refusedAsClosed(what, cache::reset);
            refusedAsClosed(what, () -> cache.keys(0));
            refusedAsClosed(what, () -> cache.values(0));
            refusedAsClosed(what, () -> cache.decodePlan(2, OPTIONS));
            refusedAsClosed("", () -> decode(plan));
            assertEquals(0, cache.length(0));
            assertEquals(0, cache.bytesInUse());
            plan.close();
        }
    }

    @Test
    default void nothingRunsOnceTheDeviceIsClosed() {
        Device device = openToClose();
        LlaPlan plan = device.plan(SHAPE, OPTIONS);
        LlaResult result = plan.newResult();
        KvCache cache = device.kvCache(CACHE);
        DecodePlan decodePlan = cache.decodePlan(2, OPTIONS);
        device.close();
        device.close();
        String what = "the device";
        refusedAsClosed(what, () -> plan.forward(inputs(), result));
        refusedAsClosed(what, () -> plan.backward(inputs(), result, result.output(), plan.newGradients()));
        refusedAsClosed(what, () -> decode(decodePlan));
        refusedAsClosed(what, () -> cache.append(tokens(1), tokens(1)));
        refusedAsClosed(what, () -> device.plan(SHAPE, OPTIONS));
        refusedAsClosed(what, () -> device.kvCache(CACHE));
        decodePlan.close();
        cache.close();
        plan.close();
    }

    /** Until one of them is refused, each thread does its work again and again. */
    private static void oneIsRefused(String said, Runnable one, Runnable other) throws Exception {
        AtomicReference<IllegalStateException> refusal = new AtomicReference<>();
        long end = System.nanoTime() + 20_000_000_000L;
        try (ExecutorService executor = Executors.newFixedThreadPool(2)) {
            List<Callable<Void>> loops = List.of(loop(one, refusal, end), loop(other, refusal, end));
            for (Future<Void> done : executor.invokeAll(loops)) {
                done.get();
            }
        }
        assertTrue(refusal.get() != null && refusal.get().getMessage().contains(said), said + ", but: " + refusal.get());
    }

    private static Callable<Void> loop(Runnable work, AtomicReference<IllegalStateException> refusal, long end) {
        return () -> {
            while (refusal.get() == null && System.nanoTime() < end) {
                try {
                    work.run();
                } catch (IllegalStateException e) {
                    refusal.set(e);
                }
            }
            return null;
        };
    }

    @Test
    default void onePlanIsForOneThread() throws Exception {
        LlaInputs inputs = inputs();
        try (Device device = open(); LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            String said = "this plan runs on another thread; make a plan for each thread";
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            Runnable forward = () -> plan.forward(inputs, plan.newResult());
            Runnable backward = () -> plan.backward(inputs, saved, RandomInputs.gradient(SHAPE), plan.newGradients());
            oneIsRefused(said, forward, forward);
            oneIsRefused(said, forward, backward);
            forward.run(); // and works on
        }
    }

    /** With decoding, so is its cache. */
    @Test
    default void oneCacheIsForOneThread() throws Exception {
        try (Device device = open(); KvCache cache = device.kvCache(CACHE); DecodePlan plan = cache.decodePlan(2, OPTIONS)) {
            cache.append(tokens(300), tokens(300));
            Runnable decode = () -> decode(plan);
            oneIsRefused("this decode plan runs on another thread; ", decode, decode);
            oneIsRefused("this key/value cache is in use on another thread; make a cache for each thread", decode, () -> {
                cache.append(tokens(1), tokens(1));
                cache.truncate(0, 300);
            });
            decode.run();
        }
    }

    /** Whoever closes too early is told, and the run ends as it should. */
    @Test
    default void aPlanThatRunsIsNotClosed() throws Exception {
        LlaInputs inputs = inputs();
        try (Device device = open()) {
            AtomicReference<LlaPlan> plan = new AtomicReference<>(device.plan(SHAPE, OPTIONS));
            oneIsRefused("", () -> plan.get().forward(inputs, plan.get().newResult()), () -> plan.get().close());
            plan.get().close();
        }
    }

    @Test
    default void aRidgeIsPositive() {
        try (Device device = open(); LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult saved = plan.newResult();
            for (double ridge : new double[] {-1, 0, Double.NaN, Double.POSITIVE_INFINITY}) {
                Tensor ridges = Tensor.allocate(DataType.FLOAT32, SHAPE.rowDims());
                ridges.fill(1);
                ridges.set(71, ridge);
                LlaInputs inputs = inputs().withRidge(ridges);
                String said = "the ridge at [0, 1, 1] is " + ridge + "; every ridge must be finite and greater than 0";
                refused(InvalidInputException.class, said, () -> plan.forward(inputs, saved));
                refused(InvalidInputException.class, said,
                        () -> plan.backward(inputs, saved, RandomInputs.gradient(SHAPE), plan.newGradients()));
            }
        }
    }

    /** Memory of the caller's thread alone is refused before anything runs, in every pass. */
    @Test
    default void confinedInputsAreRefused() {
        LlaInputs inputs = inputs();
        try (Device device = open(); Arena arena = Arena.ofConfined(); LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            Tensor q = Tensor.allocate(arena, DataType.FLOAT32, SHAPE.queryDims());
            q.segment().copyFrom(inputs.q().segment());
            LlaResult result = plan.newResult();
            refused(InvalidInputException.class, BELONGS.formatted("q"), () -> plan.forward(new LlaInputs(q, inputs.k(), inputs.v(), null), result));
            assertTrue(Double.isNaN(result.output().get(0)), "something ran");
        }
    }

    /** A decoding step, whatever of it is confined; softmax attention, where the device has it. */
    @Test
    default void confinedMemoryIsRefusedInDecodingAndSoftmax() {
        try (Device device = open(); Arena arena = Arena.ofConfined(); KvCache cache = device.kvCache(CACHE);
                DecodePlan plan = cache.decodePlan(2, OPTIONS)) {
            AttentionShape step = plan.shape();
            Tensor q = Tensor.allocate(DataType.FLOAT32, step.queryDims());
            Tensor confined = Tensor.allocate(arena, DataType.FLOAT32, step.queryDims());
            Tensor output = Tensor.allocate(arena, DataType.FLOAT32, step.outputDims());
            output.fill(7);
            refused(InvalidInputException.class, BELONGS.formatted("q"), () -> plan.decode(confined, plan.newResult()));
            refused(InvalidInputException.class, BELONGS.formatted("the output"), () -> plan.decode(q, new LlaResult(step, output, false)));
            assertEquals(7, output.get(0), "something ran");
            Tensor whole = Tensor.allocate(arena, DataType.FLOAT32, SHAPE.outputDims());
            try (LlaPlan softmax = device.softmaxPlan(SHAPE, LlaOptions.defaults())) {
                refused(InvalidInputException.class, BELONGS.formatted("the output"), () -> softmax.forward(inputs(), new LlaResult(SHAPE, whole, false)));
            } catch (UnsupportedOperationException e) {
                assertTrue(e.getMessage().contains("has no softmax attention"), e.getMessage());
            }
        }
    }

    /** Likewise for what a run writes to. */
    @Test
    default void confinedResultsAreRefused() {
        LlaInputs inputs = inputs();
        try (Device device = open(); Arena arena = Arena.ofConfined(); LlaPlan plan = device.plan(SHAPE, OPTIONS.withKeepState(true))) {
            Tensor output = Tensor.allocate(arena, DataType.FLOAT32, SHAPE.outputDims());
            refused(InvalidInputException.class, BELONGS.formatted("the output"), () -> plan.forward(inputs, new LlaResult(SHAPE, output, true)));
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients ours = plan.newGradients();
            Tensor dk = Tensor.allocate(arena, DataType.FLOAT32, SHAPE.keyDims());
            refused(InvalidInputException.class, BELONGS.formatted("dk"), () -> plan.backward(inputs, saved, RandomInputs.gradient(SHAPE),
                    new LlaGradients(SHAPE, ours.dq(), dk, ours.dv())));
        }
    }
}
