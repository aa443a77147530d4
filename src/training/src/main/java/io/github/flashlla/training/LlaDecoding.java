package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import java.util.ArrayList;
import java.util.List;

/** LLA of one token at a time, against a key/value cache per layer on the device. */
final class LlaDecoding implements Attention, AutoCloseable {
    private final List<KvCache> caches = new ArrayList<>();
    private final List<DecodePlan> plans = new ArrayList<>();
    private final List<LlaResult> results = new ArrayList<>();

    LlaDecoding(Device device, Model.Sizes sizes) {
        int dim = sizes.dim() / sizes.heads();
        for (int layer = 0; layer < sizes.layers(); layer++) {
            KvCache cache = device.kvCache(new KvCacheShape(1, sizes.heads(), sizes.length(), dim, dim, DataType.FLOAT32));
            DecodePlan plan = cache.decodePlan(sizes.heads(), LlaOptions.defaults().withTolerance(LlaAttention.TOLERANCE));
            caches.add(cache);
            plans.add(plan);
            results.add(plan.newResult());
        }
    }

    @Override
    public NDArray attend(int layer, NDArray q, NDArray k, NDArray v, NDArray ridge) {
        caches.get(layer).append(LlaAttention.tensor(k), LlaAttention.tensor(v));
        plans.get(layer).decode(LlaAttention.tensor(q), LlaAttention.tensor(LlaAttention.ridges(q, ridge)), results.get(layer));
        return LlaAttention.array(q, results.get(layer).output());
    }

    @Override
    public void close() {
        plans.forEach(DecodePlan::close);
        caches.forEach(KvCache::close);
    }
}
