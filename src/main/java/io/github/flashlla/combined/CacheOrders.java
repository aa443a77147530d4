package io.github.flashlla.combined;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;

/** The orders about key/value caches. A part's sequences are key/value heads of the whole. */
final class CacheOrders {
    private CacheOrders() {}

    record MakeCache(int cache, KvCacheShape shape) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            part.caches().put(cache, part.device().kvCache(shape));
            return cache;
        }
    }

    /**
     * Appends tokens, which lie head after head: {@code tokens} keys of each of {@code heads} heads, and as many values.
     *
     * @param first sequence of this part
     * @param keysAt where the keys begin, in bytes
     * @param valuesAt where the values begin
     */
    record Append(int cache, int memory, int first, int heads, int tokens, DataType keys, long keysAt, DataType values, long valuesAt)
            implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            KvCache known = part.caches().get(cache);
            KvCacheShape shape = known.shape();
            MemorySegment shared = part.memories().get(memory).segment();
            if (heads == shape.batch()) {
                known.append(tensor(shared, keysAt, keys, heads, 1, tokens, shape.headDim()),
                        tensor(shared, valuesAt, values, heads, 1, tokens, shape.valueDim()));
                return tokens;
            }
            long keyBytes = (long) tokens * shape.headDim() * keys.bytes();
            long valueBytes = (long) tokens * shape.valueDim() * values.bytes();
            for (int head = 0; head < heads; head++) {
                known.append(first + head, tensor(shared, keysAt + head * keyBytes, keys, 1, tokens, shape.headDim()),
                        tensor(shared, valuesAt + head * valueBytes, values, 1, tokens, shape.valueDim()));
            }
            return tokens;
        }
    }

    private static Tensor tensor(MemorySegment shared, long at, DataType type, long... dims) {
        long elements = 1;
        for (long dim : dims) {
            elements *= dim;
        }
        return Tensor.wrap(shared.asSlice(at, elements * type.bytes()), type, dims);
    }

    record Truncate(int cache, int first, int heads, int length) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            for (int head = first; head < first + heads; head++) {
                part.caches().get(cache).truncate(head, length);
            }
            return length;
        }
    }

    /** Copies keys, or values, of some heads into shared memory in float32, head after head. */
    record Copy(int cache, boolean keys, int first, int heads, int memory, long at) implements Order<Long> {
        @Override
        public Long run(PartState part) {
            KvCache known = part.caches().get(cache);
            MemorySegment shared = part.memories().get(memory).segment();
            long to = at;
            for (int head = first; head < first + heads; head++) {
                MemorySegment from = (keys ? known.keys(head) : known.values(head)).segment();
                MemorySegment.copy(from, 0, shared, to, from.byteSize());
                to += from.byteSize();
            }
            return to - at;
        }
    }

    /** Answers with the workspace. */
    record MakeStep(int step, int cache, Layout layout, int piece, LlaOptions options, DecodeMethod method, int inputs, int outputs)
            implements Order<Long> {
        @Override
        public Long run(PartState part) {
            Tensors tensors = new Tensors(layout, part.memories().get(inputs).segment(), part.memories().get(outputs).segment());
            PartStep made = new PartStep(tensors, piece, part.caches().get(cache).decodePlan(layout.whole().group(), options, method));
            part.steps().put(step, made);
            return made.workspaceBytes();
        }
    }

    record Decode(int step, DataType q, DataType ridge) implements Order<Outcome> {
        @Override
        public Outcome run(PartState part) {
            return part.steps().get(step).run(q, ridge);
        }
    }

    record CloseStep(int step) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            PartStep known = part.steps().remove(step);
            if (known != null) {
                known.close();
            }
            return step;
        }
    }

    record CloseCache(int cache) implements Order<Integer> {
        @Override
        public Integer run(PartState part) {
            KvCache known = part.caches().remove(cache);
            if (known != null) {
                known.close();
            }
            return cache;
        }
    }
}
