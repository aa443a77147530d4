package io.github.flashlla.tornado;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.exceptions.TornadoInternalError;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Keys and values of one layer in arrays of the caller's, which {@link LlaDecodeTasks} and {@link LlaPrefillTasks} write and read within
 * task graphs. They are row-major: keys (pages,Hkv,pageSize,D), values (pages,Hkv,pageSize,Dv), float32 or float16.
 *
 * <p>A sequence's tokens are in pages that a table (B, most pages of a sequence) names: token j of sequence b is row j % pageSize of page
 * {@code table[b, j / pageSize]}. The table is data: the caller changes it between runs, and no kernel is compiled again. A negative
 * entry is a page that is not there; nothing is stored in it. All layers may share a table. Without one, sequence b is page b.
 *
 * {@snippet :
 * KvCacheShape shape = new KvCacheShape(4, 8, 2048, 64, 64, DataType.FLOAT16);             // at most 4 sequences of at most 2048 tokens
 * IntArray table = LlaCache.table(shape, 64);                                              // (4,32), all -1
 * LlaCache cache = LlaCache.paged("cuda:0", shape, 64, 100, table);                        // room for 6400 tokens in all
 * table.set(1 * 32 + 0, 17);                                                               // sequence 1 begins in page 17
 * }
 */
public final class LlaCache {
    private final KvCacheShape shape;
    private final int pages;
    private final PagedArrays arrays;

    private LlaCache(KvCacheShape shape, int pages, PagedArrays arrays) {
        this.shape = shape;
        this.pages = pages;
        this.arrays = arrays;
    }

    /**
     * A cache with a page of {@code shape}'s capacity for each sequence, zeros at first.
     *
     * @param shape FLOAT16 is held in float32 on a device without a half type
     * @throws InvalidInputException if keys or values exceed 2^31 elements
     * @throws io.github.flashlla.DeviceException if the device is not here
     */
    public static LlaCache of(String deviceName, KvCacheShape shape) {
        return allocate(deviceName, shape, shape.capacity(), shape.batch(), null);
    }

    /**
     * A cache in pages, zeros at first.
     *
     * @param shape sequences, and the most tokens that one may have
     * @param pageSize tokens of a page
     * @param pages of all sequences together; may be fewer than they could fill
     * @param table from {@link #table}
     * @throws InvalidInputException if keys or values exceed 2^31 elements, or the table is not the shape's
     * @throws io.github.flashlla.DeviceException if the device is not here
     */
    public static LlaCache paged(String deviceName, KvCacheShape shape, int pageSize, int pages, IntArray table) {
        requireTable(shape, pageSize, pages, table);
        return allocate(deviceName, shape, pageSize, pages, table);
    }

    private static LlaCache allocate(String deviceName, KvCacheShape shape, int pageSize, int pages, IntArray table) {
        BackendDevice device = BackendDevices.open(deviceName);
        int k = elements(shape, pageSize, pages, shape.headDim());
        int v = elements(shape, pageSize, pages, shape.valueDim());
        return shape.type() == DataType.FLOAT16 && CacheRows.hasHalf(device.info())
                ? of(shape, pageSize, pages, table, new FloatArray(1), new HalfFloatArray(k), new FloatArray(1), new HalfFloatArray(v))
                : of(shape, pageSize, pages, table, new FloatArray(k), new HalfFloatArray(1), new FloatArray(v), new HalfFloatArray(1));
    }

    /**
     * A float32 cache in arrays that there are.
     *
     * @param k (pages,Hkv,pageSize,D)
     * @param v (pages,Hkv,pageSize,Dv)
     * @param table from {@link #table}; null where sequence b is page b, and a page has {@code shape}'s capacity
     * @throws InvalidInputException if a size is not the shape's
     */
    public static LlaCache over(KvCacheShape shape, int pageSize, int pages, IntArray table, FloatArray k, FloatArray v) {
        requireTable(shape, pageSize, pages, table);
        require("k", k.getSize(), elements(shape, pageSize, pages, shape.headDim()));
        require("v", v.getSize(), elements(shape, pageSize, pages, shape.valueDim()));
        return of(shape, pageSize, pages, table, k, new HalfFloatArray(1), v, new HalfFloatArray(1));
    }

    /** The same in float16, for devices with a half type: {@code cuda}, {@code ptx}, and {@code opencl} on NVIDIA GPUs. */
    public static LlaCache over(KvCacheShape shape, int pageSize, int pages, IntArray table, HalfFloatArray k, HalfFloatArray v) {
        requireTable(shape, pageSize, pages, table);
        require("k", k.getSize(), elements(shape, pageSize, pages, shape.headDim()));
        require("v", v.getSize(), elements(shape, pageSize, pages, shape.valueDim()));
        return of(shape, pageSize, pages, table, new FloatArray(1), k, new FloatArray(1), v);
    }

    private static LlaCache of(KvCacheShape shape, int pageSize, int pages, IntArray table, FloatArray k32, HalfFloatArray k16, FloatArray v32,
            HalfFloatArray v16) {
        int format = CacheLayout.ROW_MAJOR + (k16.getSize() > 1 || v16.getSize() > 1 ? CacheLayout.FLOAT16 : 0)
                + (table == null ? 0 : CacheLayout.PAGED);
        return new LlaCache(shape, pages, new PagedArrays(k32, k16, v32, v16, format, table == null ? new IntArray(shape.batch()) : table, pageSize));
    }

    /** A table for {@link #paged} without any page. */
    public static IntArray table(KvCacheShape shape, int pageSize) {
        if (pageSize < 1) {
            throw new InvalidInputException("a page has at least 1 token, not " + pageSize);
        }
        IntArray table = new IntArray(Math.multiplyExact(shape.batch(), Math.ceilDiv(shape.capacity(), pageSize)));
        table.init(-1);
        return table;
    }

    private static void requireTable(KvCacheShape shape, int pageSize, int pages, IntArray table) {
        if (table == null) {
            if (pageSize != shape.capacity() || pages != shape.batch()) {
                throw new InvalidInputException("without a table, sequences are a page each of the capacity: " + shape.batch() + " pages of "
                        + shape.capacity() + " tokens, not " + pages + " of " + pageSize);
            }
        } else {
            require("the page table", table.getSize(), table(shape, pageSize).getSize());
        }
        if (pages < 1) {
            throw new InvalidInputException("a cache has at least 1 page, not " + pages);
        }
    }

    static void require(String what, long has, long wanted) {
        if (has != wanted) {
            throw new InvalidInputException(what + " has " + has + " elements, but the shape needs " + wanted);
        }
    }

    private static int elements(KvCacheShape shape, int pageSize, int pages, int dim) {
        long elements = (long) pages * shape.kvHeads() * pageSize * dim;
        if (elements > Integer.MAX_VALUE - 64 || elements < 0) {
            throw new InvalidInputException(pages + " pages of " + pageSize + " tokens of " + shape + " exceed 2^31 elements; use fewer pages");
        }
        return (int) elements;
    }

    public KvCacheShape shape() {
        return shape;
    }

    /** Tokens of a page. */
    public int pageSize() {
        return arrays.pageSize();
    }

    /** Pages of all sequences together. */
    public int pages() {
        return pages;
    }

    /** Keys and values, and two arrays of one element: what a graph transfers, keeps or takes over. */
    public Object[] arrays() {
        return new Object[] {arrays.k32(), arrays.k16(), arrays.v32(), arrays.v16()};
    }

    /**
     * Frees the device memory of all graphs of a plan whose graphs hand caches on. {@code plan.close()} alone frees the graph that ran
     * last: the other graphs' arrays stay allocated, and on PTX stay pinned, so that copies fail once the JVM gives their memory to other
     * arrays. Call it last, before the plan is closed. What a graph keeps ({@code persistOnDevice}) must be named behind all else that it
     * copies back.
     *
     * @param graphs of the plan
     */
    public static void free(TornadoExecutionPlan plan, int graphs) {
        for (int graph = 0; graph < graphs; graph++) {
            try {
                plan.withGraph(graph).freeDeviceMemory();
            } catch (TornadoInternalError e) {
                // TornadoVM frees an array once for each graph that keeps it, and stops at the second time: what is left then are caches
                if (graph == 0) {
                    throw e;
                }
            }
        }
        plan.withGraph(0); // so that close finds nothing to free
    }

    /** Bytes of keys and values on the device. */
    public long bytes() {
        return bytes(arrays.k32(), arrays.k16()) + bytes(arrays.v32(), arrays.v16());
    }

    /** Bytes of the larger of keys and values. */
    long largestBytes() {
        return Math.max(bytes(arrays.k32(), arrays.k16()), bytes(arrays.v32(), arrays.v16()));
    }

    private static long bytes(FloatArray single, HalfFloatArray half) {
        return (long) Float.BYTES * single.getSize() + (long) Short.BYTES * half.getSize();
    }

    PagedArrays paged() {
        return arrays;
    }

    /** Pages that a sequence can have. */
    int perSequence() {
        return arrays.pages().getSize() / shape.batch();
    }

    /** Makes sure that the device reads this cache's type. */
    void requireType(DeviceInfo device) {
        if (arrays.halves() && !CacheRows.hasHalf(device)) {
            throw new InvalidInputException(device.name() + " has no half type that TornadoVM reaches; give it a cache in FloatArrays, or let "
                    + "LlaCache.of or LlaCache.paged make it");
        }
    }

    /** Makes sure that the table has the pages of a sequence's tokens from {@code first} on, {@code tokens} in all with those before. */
    void requirePages(int sequence, long first, long tokens) {
        if (sequence < 0 || sequence >= shape.batch() || tokens > shape.capacity()) {
            throw new InvalidInputException(tokens + " tokens of sequence " + sequence + " do not fit the cache " + shape
                    + "; there are sequences 0 to " + (shape.batch() - 1) + " of at most " + shape.capacity() + " tokens");
        }
        for (int n = (int) first / pageSize(); arrays.isPaged() && n < Math.ceilDiv(tokens, pageSize()); n++) {
            int page = arrays.pages().get(sequence * perSequence() + n);
            if (page < 0 || page >= pages) {
                throw new InvalidInputException("token " + n * pageSize() + " of sequence " + sequence + " has page " + page
                        + " in the table; set it to one of 0 to " + (pages - 1));
            }
        }
    }
}
