package example;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;

import io.github.flashlla.DataType;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.LlaCache;
import io.github.flashlla.tornado.LlaDecodeTasks;
import io.github.flashlla.tornado.LlaPrefillTasks;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** One layer: a prompt of 40 tokens in chunks of 16, then 20 steps; 8 heads over 2 key/value heads of 64, float16 cache in pages of 32. */
public final class Decoding {
    public static void main(String[] args) throws Exception {
        String device = args[0];
        KvCacheShape shape = new KvCacheShape(1, 2, 256, 64, 64, DataType.FLOAT16);
        IntArray table = LlaCache.table(shape, 32);
        for (int n = 0; n < 8; n++) {
            table.set(n, 7 - n); // pages may be in any order
        }
        LlaCache cache = LlaCache.paged(device, shape, 32, 8, table);
        FloatArray chunkQ = random(16 * 8 * 64), chunkK = random(16 * 2 * 64), chunkV = random(16 * 2 * 64), chunkO = random(16 * 8 * 64);
        FloatArray q = random(8 * 64), k = random(2 * 64), v = random(2 * 64), o = random(8 * 64);
        IntArray positions = new IntArray(1);
        LlaOptions options = LlaOptions.defaults();
        LlaPrefillTasks prefill = LlaPrefillTasks.of(device, cache, 8, 16, options, chunkQ, chunkK, chunkV, chunkO);
        LlaDecodeTasks decode = LlaDecodeTasks.of(device, cache, 8, options, q, k, v, positions, o);
        GridScheduler grids = new GridScheduler();
        TaskGraph first = new TaskGraph("prefill").transferToDevice(EVERY_EXECUTION, chunkQ, chunkK, chunkV); // or tasks that write them
        prefill.appendTo(first, grids);
        first.transferToHost(EVERY_EXECUTION, chunkO).persistOnDevice(cache.arrays());
        TaskGraph second = new TaskGraph("decode").transferToDevice(EVERY_EXECUTION, q, k, v, positions).consumeFromDevice(cache.arrays());
        decode.append(second, grids);
        second.transferToHost(EVERY_EXECUTION, o).persistOnDevice(cache.arrays());
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(first.snapshot(), second.snapshot())) {
            decode.configure(plan).withGridScheduler(grids);
            for (int at = 0; at < 40; at += 16) {
                prefill.place(0, at, Math.min(16, 40 - at));
                prefill.check(plan.withGraph(0).execute());
            }
            for (int at = 40; at < 60; at++) {
                positions.set(0, at);
                decode.check(plan.withGraph(1).execute());
            }
            LlaCache.free(plan, 2);
        }
        System.out.println("60 tokens, first output " + o.get(0));
    }

    private static FloatArray random(int size) {
        FloatArray array = new FloatArray(size);
        for (int i = 0; i < size; i++) {
            array.set(i, (float) Math.sin(i * i + size));
        }
        return array;
    }
}
