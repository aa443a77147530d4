package io.github.flashlla.combined;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Keys and values, each key/value head of each sequence on one part. Heads need nothing of each other, so a step is exact without a
 * merge. Where there are too few heads for the parts, {@link SplitCache} divides keys instead.
 */
final class CombinedCache extends AbstractKvCache {
    /** Tokens go to the parts through memory of this size, or one token's if that is more. */
    private static final long STAGE_BYTES = 64L << 20;

    private final CombinedDevice device;
    private final int number;
    /** Those with heads, in their order. */
    private final Map<PartProcess, Piece> holders;
    private final SharedMemory stage;
    private final int stageNumber;

    /** @param speeds of the living parts */
    CombinedCache(CombinedDevice device, KvCacheShape shape, double[] speeds) {
        super(shape, device.state());
        this.device = device;
        this.number = device.crew().number();
        this.holders = divide(device, shape, speeds);
        long token = (long) shape.batch() * shape.kvHeads() * (shape.headDim() + shape.valueDim()) * Double.BYTES;
        long bytes = Math.max(token, Math.min(STAGE_BYTES, Math.multiplyExact(token, shape.capacity())));
        this.stage = SharedMemory.create(bytes, bytes);
        try {
            this.stageNumber = device.crew().share(stage, false);
            all((part, heads) -> new CacheOrders.MakeCache(number, new KvCacheShape(heads.heads(), 1, shape.capacity(), shape.headDim(),
                    shape.valueDim(), shape.type())), Integer.class);
        } catch (RuntimeException e) {
            stage.close();
            throw e;
        }
    }

    private static Map<PartProcess, Piece> divide(CombinedDevice device, KvCacheShape shape, double[] speeds) {
        List<PartProcess> living = device.crew().living();
        int[] first = Shares.ofHeads(shape.batch() * shape.kvHeads(), speeds);
        Map<PartProcess, Piece> holders = new LinkedHashMap<>();
        for (int n = 0; n < living.size(); n++) {
            if (first[n + 1] > first[n]) {
                holders.put(living.get(n), new Piece(first[n], first[n + 1], 0, 1, 1));
            }
        }
        return Collections.unmodifiableMap(holders);
    }

    /** An order for a part and its heads; null where it has nothing to do. */
    interface ForHolder<R extends Serializable> {
        Order<R> order(PartProcess part, Piece heads);
    }

    /** Gives orders to all who hold heads; one that dies takes its keys and values with it. */
    <R extends Serializable> Map<PartProcess, R> all(ForHolder<R> orders, Class<R> type) {
        Map<PartProcess, Order<R>> given = new LinkedHashMap<>();
        holders.forEach((part, heads) -> {
            Order<R> order = orders.order(part, heads);
            if (order != null) {
                given.put(part, order);
            }
        });
        return device.crew().exchangeWithHolders(given, type);
    }

    CombinedDevice device() {
        return device;
    }

    int number() {
        return number;
    }

    /** The heads of each part that has some. */
    List<Piece> pieces() {
        return List.copyOf(holders.values());
    }

    @Override
    protected void store(int first, int sequences, int tokens, Tensor k, Tensor v) {
        int heads = sequences * shape().kvHeads();
        long keyBytes = (long) shape().headDim() * k.type().bytes();
        long valueBytes = (long) shape().valueDim() * v.type().bytes();
        int chunk = (int) Math.clamp(stage.segment().byteSize() / (heads * (keyBytes + valueBytes)), 1, Math.max(1, tokens));
        Tensor rowsK = k.rowMajor();
        Tensor rowsV = v.rowMajor();
        for (int done = 0; done < tokens; done += chunk) {
            int count = Math.min(chunk, tokens - done);
            long valuesAt = heads * count * keyBytes;
            stage(rowsK.segment(), 0, heads, tokens, done, count, keyBytes);
            stage(rowsV.segment(), valuesAt, heads, tokens, done, count, valueBytes);
            int firstHead = first * shape().kvHeads();
            all((part, own) -> {
                int from = Math.max(firstHead, own.fromHead());
                int to = Math.min(firstHead + heads, own.toHead());
                return to <= from ? null : new CacheOrders.Append(number, stageNumber, from - own.fromHead(), to - from, count, k.type(),
                        (from - firstHead) * count * keyBytes, v.type(), valuesAt + (from - firstHead) * count * valueBytes);
            }, Integer.class);
        }
    }

    private void stage(MemorySegment from, long to, int heads, int tokens, int done, int count, long rowBytes) {
        for (int head = 0; head < heads; head++) {
            MemorySegment.copy(from, ((long) head * tokens + done) * rowBytes, stage.segment(), to + head * count * rowBytes, count * rowBytes);
        }
    }

    @Override
    protected void truncated(int sequence, int length) {
        overlapping(sequence, (own, from) -> heads -> new CacheOrders.Truncate(number, from - own.fromHead(), heads, length), Integer.class);
    }

    /** An order for {@code heads} of a part's own, from the whole's head {@code from} on. */
    private interface ForHeads<R extends Serializable> {
        Function<Integer, Order<R>> order(Piece own, int from);
    }

    private <R extends Serializable> void overlapping(int sequence, ForHeads<R> orders, Class<R> type) {
        int firstHead = sequence * shape().kvHeads();
        all((part, own) -> {
            int from = Math.max(firstHead, own.fromHead());
            int to = Math.min(firstHead + shape().kvHeads(), own.toHead());
            return to <= from ? null : orders.order(own, from).apply(to - from);
        }, type);
    }

    @Override
    public Tensor keys(int sequence) {
        return copyOf(sequence, true, shape().headDim());
    }

    @Override
    public Tensor values(int sequence) {
        return copyOf(sequence, false, shape().valueDim());
    }

    private Tensor copyOf(int sequence, boolean keys, int dim) {
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, shape().kvHeads(), length(sequence), dim);
        exclusively(() -> {
            if (copy.size() == 0) {
                return;
            }
            try (SharedMemory memory = SharedMemory.create(copy.byteSize(), copy.byteSize())) {
                int shared = device.crew().share(memory, true);
                long headBytes = copy.byteSize() / shape().kvHeads();
                overlapping(sequence, (own, from) -> heads -> new CacheOrders.Copy(number, keys, from - own.fromHead(), heads, shared,
                        (from - sequence * shape().kvHeads()) * headBytes), Long.class);
                MemorySegment.copy(memory.segment(), 0, copy.segment(), 0, copy.byteSize());
                device.crew().allQuietly(new Orders.CloseMemory(shared));
            }
        });
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        return new CombinedDecodePlan(this, heads, options, method);
    }

    @Override
    protected void release() {
        device.crew().allQuietly(new CacheOrders.CloseCache(number));
        device.crew().allQuietly(new Orders.CloseMemory(stageNumber));
        stage.close();
    }
}
