package io.github.flashlla.tornado.plan;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.precise.PreciseDecodePlan;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.device.BackendDevice;
import java.util.ArrayList;
import java.util.List;

/**
 * Keys and values in TornadoVM's arrays. The host's copy is complete; a decode plan holds the device's, which it fills once and
 * then keeps up to date token by token.
 */
public final class TornadoKvCache extends AbstractKvCache implements PartialDecode.Cache {

    /** What has a copy of the cache on the device, and is closed with it. */
    interface Reader {
        /** Tokens from {@code length} on are no longer what the device has. */
        void forget(int sequence, int length);

        void close();
    }


    private final DeviceState device;
    private final BackendDevice entry;
    private final String deviceName;
    private final List<Reader> readers = new ArrayList<>();
    private final int capacity;
    private final CacheRows k;
    private final CacheRows v;

    public TornadoKvCache(DeviceState device, BackendDevice entry, KvCacheShape shape) {
        super(shape, device);
        this.device = device;
        this.entry = entry;
        this.deviceName = entry.info().name();
        this.capacity = CacheRows.capacity(shape);
        try {
            this.k = CacheRows.of(entry.info(), shape, shape.headDim());
            this.v = CacheRows.of(entry.info(), shape, shape.valueDim());
        } catch (OutOfMemoryError e) {
            throw new DeviceException(deviceName + ": a key/value cache of " + shape + " needs " + Numbers.bytes(shape.bytes())
                    + " of host memory, more than there is: lower the capacity or store FLOAT16", e);
        }
    }

    public CacheRows k() {
        return k;
    }

    public CacheRows v() {
        return v;
    }

    CacheArrays arrays() {
        return new CacheArrays(k, v, capacity);
    }

    /** Rows between the first tokens of two sequences. */
    public int rowsPerSequence() {
        return capacity;
    }

    @Override
    protected void store(int first, int sequences, int tokens, Tensor newK, Tensor newV) {
        for (int sequence = first; sequence < first + sequences; sequence++) {
            for (int head = 0; head < shape().kvHeads(); head++) {
                long source = ((long) (sequence - first) * shape().kvHeads() + head) * tokens;
                k.put(row(sequence, head, length(sequence)), newK, source, tokens);
                v.put(row(sequence, head, length(sequence)), newV, source, tokens);
            }
        }
    }

    private int row(int sequence, int kvHead, int token) {
        return (sequence * shape().kvHeads() + kvHead) * capacity + token;
    }

    /** Copies one token of all key/value heads, as stored, to {@code (row,Hkv,D)} and {@code (row,Hkv,Dv)}. */
    void stage(int sequence, int token, CacheRows stagedK, CacheRows stagedV, int row) {
        for (int head = 0; head < shape().kvHeads(); head++) {
            k.stage(row(sequence, head, token), stagedK, row * shape().kvHeads() + head);
            v.stage(row(sequence, head, token), stagedV, row * shape().kvHeads() + head);
        }
    }

    /** What is overwritten from here on must reach the device again. */
    @Override
    protected void truncated(int sequence, int length) {
        for (Reader reader : readers) {
            reader.forget(sequence, length);
        }
    }

    void closed(Reader reader) {
        readers.remove(reader);
    }

    @Override
    public Tensor keys(int sequence) {
        return copyOf(k, sequence, shape().headDim());
    }

    @Override
    public Tensor values(int sequence) {
        return copyOf(v, sequence, shape().valueDim());
    }

    private Tensor copyOf(CacheRows rows, int sequence, int dim) {
        int length = length(sequence);
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, shape().kvHeads(), length, dim);
        exclusively(() -> {
            for (int head = 0; head < shape().kvHeads(); head++) {
                rows.copyTo(copy, (long) head * length, row(sequence, head, 0), length);
            }
        });
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        if (method == DecodeMethod.MOMENTS) {
            throw new InvalidInputException(deviceName + ": decodes by COVARIANCE or MATRIX_FREE, not " + method);
        }
        return new PreciseDecodePlan(this, options, given -> {
            TornadoDecodePlan plan = new TornadoDecodePlan(device, this, entry, heads, given, method);
            readers.add(plan);
            return plan;
        });
    }

    @Override
    public PartialDecode partialDecode(int heads, LlaOptions options) {
        requireOpen();
        options.requireNoWindow(deviceName);
        TornadoPartialDecode made = new TornadoPartialDecode(this, entry, heads, options);
        readers.add(made);
        return made;
    }

    @Override
    protected void release() {
        for (Reader reader : List.copyOf(readers)) {
            reader.close();
        }
    }
}
