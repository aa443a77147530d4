package io.github.flashlla.combined;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.precise.PreciseDecodePlan;
import io.github.flashlla.spi.AbstractKvCache;
import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;

/** Keys and values of which each part holds some tokens of every head, as {@link KeySplit} divides them. */
final class SplitCache extends AbstractKvCache {
    /** Tokens go to the parts through memory of this size, or one token's if that is more. */
    private static final long STAGE_BYTES = 64L << 20;

    private final CombinedDevice device;
    private final int number;
    private final List<PartProcess> parts;
    private final KeySplit split;
    private final SharedMemory stage;
    private final int stageNumber;

    /** @param speeds of the living parts */
    SplitCache(CombinedDevice device, KvCacheShape shape, double[] speeds) {
        super(shape, device.state());
        this.device = device;
        this.number = device.crew().number();
        this.parts = device.crew().living();
        this.split = new KeySplit(shape.capacity(), speeds);
        long token = (long) shape.kvHeads() * (shape.headDim() + shape.valueDim()) * Double.BYTES;
        long bytes = Math.max(token, Math.min(STAGE_BYTES, Math.multiplyExact(token, shape.capacity())));
        this.stage = SharedMemory.create(bytes, bytes);
        try {
            this.stageNumber = device.crew().share(stage, false);
            all(part -> new CacheOrders.MakeCache(number, new KvCacheShape(shape.batch() * shape.kvHeads(), 1,
                    Math.max(1, split.held(part, shape.capacity())), shape.headDim(), shape.valueDim(), shape.type())), Integer.class);
        } catch (RuntimeException e) {
            stage.close();
            throw e;
        }
    }

    /** Gives orders to all parts; an order that is null is none. */
    <R extends Serializable> Map<PartProcess, R> all(IntFunction<Order<R>> orders, Class<R> type) {
        Map<PartProcess, Order<R>> given = new LinkedHashMap<>();
        for (int part = 0; part < parts.size(); part++) {
            Order<R> order = orders.apply(part);
            if (order != null) {
                given.put(parts.get(part), order);
            }
        }
        return device.crew().exchangeWithHolders(given, type);
    }

    CombinedDevice device() {
        return device;
    }

    int number() {
        return number;
    }

    int parts() {
        return parts.size();
    }

    /**
     * How many of a part's tokens are counted where a sequence's last {@code seen} are, of each key/value head.
     *
     * @param window tokens that a query sees; 0 for all
     */
    int[] seen(int part, int window) {
        int[] seen = new int[shape().batch() * shape().kvHeads()];
        for (int head = 0; head < seen.length; head++) {
            int length = length(head / shape().kvHeads());
            int hidden = window == 0 ? 0 : Math.max(0, length - window);
            seen[head] = split.held(part, length) - split.held(part, hidden);
        }
        return seen;
    }

    @Override
    protected void store(int first, int sequences, int tokens, Tensor k, Tensor v) {
        int heads = shape().kvHeads();
        long keyBytes = (long) shape().headDim() * k.type().bytes();
        long valueBytes = (long) shape().valueDim() * v.type().bytes();
        int chunk = (int) Math.clamp(stage.segment().byteSize() / (heads * (keyBytes + valueBytes)), 1, Math.max(1, tokens));
        MemorySegment keys = k.rowMajor().segment();
        MemorySegment values = v.rowMajor().segment();
        for (int sequence = first; sequence < first + sequences; sequence++) {
            int head = sequence * heads;
            long row = (long) (sequence - first) * heads * tokens;
            for (int done = 0; done < tokens; done += chunk) {
                int from = length(sequence) + done;
                int to = from + Math.min(chunk, tokens - done);
                long source = row + done;
                long[] at = {0};
                all(part -> {
                    int count = split.held(part, to) - split.held(part, from);
                    if (count == 0) {
                        return null;
                    }
                    long keysAt = at[0];
                    long valuesAt = keysAt + heads * count * keyBytes;
                    at[0] = valuesAt + heads * count * valueBytes;
                    stage(part, from, to, keys, source, tokens, count, keyBytes, keysAt);
                    stage(part, from, to, values, source, tokens, count, valueBytes, valuesAt);
                    return new CacheOrders.Append(number, stageNumber, head, heads, count, k.type(), keysAt, v.type(), valuesAt);
                }, Integer.class);
            }
        }
    }

    /**
     * Copies a part's tokens of all heads, head after head.
     *
     * @param source row of token {@code from} of the first head in {@code rows}
     * @param headRows rows of a head there
     * @param count the part's tokens between {@code from} and {@code to}
     */
    private void stage(int part, int from, int to, MemorySegment rows, long source, int headRows, int count, long rowBytes, long at) {
        long place = at;
        for (int token = from; token < to;) {
            int together = KeySplit.together(token, to - token);
            if (split.owner(token) == part) {
                for (int head = 0; head < shape().kvHeads(); head++) {
                    MemorySegment.copy(rows, (source + (long) head * headRows + token - from) * rowBytes, stage.segment(),
                            place + (long) head * count * rowBytes, together * rowBytes);
                }
                place += together * rowBytes;
            }
            token += together;
        }
    }

    @Override
    protected void truncated(int sequence, int length) {
        all(part -> new CacheOrders.Truncate(number, sequence * shape().kvHeads(), shape().kvHeads(), split.held(part, length)), Integer.class);
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
        int length = length(sequence);
        int heads = shape().kvHeads();
        long rowBytes = (long) dim * Float.BYTES;
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, heads, length, dim);
        exclusively(() -> {
            if (copy.size() == 0) {
                return;
            }
            try (SharedMemory memory = SharedMemory.create(copy.byteSize(), copy.byteSize())) {
                int shared = device.crew().share(memory, true);
                long[] starts = new long[parts.size() + 1];
                for (int part = 0; part < parts.size(); part++) {
                    starts[part + 1] = starts[part] + heads * split.held(part, length) * rowBytes;
                }
                all(part -> new CacheOrders.Copy(number, keys, sequence * heads, heads, shared, starts[part]), Long.class);
                for (int token = 0; token < length;) {
                    int together = KeySplit.together(token, length - token);
                    int part = split.owner(token);
                    for (int head = 0; head < heads; head++) {
                        long row = (long) head * split.held(part, length) + split.held(part, token);
                        MemorySegment.copy(memory.segment(), starts[part] + row * rowBytes, copy.segment(),
                                ((long) head * length + token) * rowBytes, together * rowBytes);
                    }
                    token += together;
                }
                device.crew().allQuietly(new Orders.CloseMemory(shared));
            }
        });
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        if (method != DecodeMethod.AUTO && method != DecodeMethod.COVARIANCE) {
            throw new InvalidInputException(device.info().name() + ": keys of a head that are divided among devices are decoded by COVARIANCE, not "
                    + method + "; leave the method to it");
        }
        return new PreciseDecodePlan(this, options, given -> new SplitDecodePlan(this, heads, given));
    }

    @Override
    protected void release() {
        device.crew().allQuietly(new CacheOrders.CloseCache(number));
        device.crew().allQuietly(new Orders.CloseMemory(stageNumber));
        stage.close();
    }
}
