package io.github.flashlla;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * A dense, row-major array of numbers in off-heap memory.
 *
 * <p>The tensor does not own its memory: an {@link Arena} does. {@link #allocate(DataType, long...)} uses an automatic
 * arena, so that such a tensor lives as long as it is reachable. Not synchronised: share for reading only.
 */
public final class Tensor {

    /** Alignment of tensors allocated here: one cache line, and the widest vector register. */
    public static final int ALIGNMENT_BYTES = 64;

    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int BLOCK = 4096;
    private static final int PARALLEL_BLOCK = 1 << 16;

    /** Stands for any thread but the one that made a confined segment. */
    private static final Thread ANOTHER = Thread.ofPlatform().unstarted(() -> {});

    private final DataType type;
    private final long[] dims;
    private final long size;
    private final MemorySegment segment;

    private Tensor(DataType type, long[] dims, MemorySegment segment) {
        this.type = type;
        this.dims = dims;
        this.size = elementCount(dims);
        this.segment = segment;
    }

    /** A zeroed tensor in memory of its own, freed when unreachable. Sizes are counts of elements, each at least 0. */
    public static Tensor allocate(DataType type, long... dims) {
        return allocate(Arena.ofAuto(), type, dims);
    }

    /** A zeroed tensor in memory of {@code arena}. */
    public static Tensor allocate(Arena arena, DataType type, long... dims) {
        long[] copy = dims.clone();
        long bytes = Math.multiplyExact(elementCount(copy), (long) type.bytes());
        return new Tensor(type, copy, arena.allocate(bytes, ALIGNMENT_BYTES));
    }

    /** A float32 copy of {@code values}, whose count must be the product of {@code dims}. */
    public static Tensor of(float[] values, long... dims) {
        Tensor tensor = allocate(DataType.FLOAT32, dims);
        requireCount(values.length, tensor);
        MemorySegment.copy(values, 0, tensor.segment, FLOAT, 0, values.length);
        return tensor;
    }

    /** A float64 copy of {@code values}, whose count must be the product of {@code dims}. */
    public static Tensor of(double[] values, long... dims) {
        Tensor tensor = allocate(DataType.FLOAT64, dims);
        requireCount(values.length, tensor);
        MemorySegment.copy(values, 0, tensor.segment, DOUBLE, 0, values.length);
        return tensor;
    }

    /** A view of memory that the caller owns: little-endian, row-major, exactly as long as {@code dims} needs. */
    public static Tensor wrap(MemorySegment segment, DataType type, long... dims) {
        long[] copy = dims.clone();
        long bytes = Math.multiplyExact(elementCount(copy), (long) type.bytes());
        if (segment.byteSize() != bytes) {
            throw new InvalidInputException("a " + type + " tensor of shape " + shapeString(copy) + " takes " + bytes
                    + " bytes, but the memory given has " + segment.byteSize());
        }
        return new Tensor(type, copy, segment);
    }

    /** The same memory under other sizes with the same product. */
    public Tensor reshape(long... newDims) {
        if (elementCount(newDims) != size) {
            throw new InvalidInputException("cannot reshape " + shapeString(dims) + " to " + shapeString(newDims)
                    + ": the element counts differ");
        }
        return new Tensor(type, newDims.clone(), segment);
    }

    public DataType type() {
        return type;
    }

    /** Sizes, outermost first; a copy. */
    public long[] dims() {
        return dims.clone();
    }

    public int rank() {
        return dims.length;
    }

    public long dim(int axis) {
        return dims[axis];
    }

    /** Number of elements. */
    public long size() {
        return size;
    }

    public long byteSize() {
        return segment.byteSize();
    }

    /** The memory itself, row-major, little-endian, {@link #byteSize()} long. */
    public MemorySegment segment() {
        return segment;
    }

    /** Element at a row-major position, widened to float64. */
    public double get(long index) {
        return switch (type) {
            case FLOAT64 -> segment.getAtIndex(DOUBLE, index);
            case FLOAT32 -> segment.getAtIndex(FLOAT, index);
            case FLOAT16 -> Float.float16ToFloat(segment.getAtIndex(SHORT, index));
            case BFLOAT16 -> bfloat16ToFloat(segment.getAtIndex(SHORT, index));
        };
    }

    /** Sets the element at a row-major position, rounded to nearest even. */
    public void set(long index, double value) {
        switch (type) {
            case FLOAT64 -> segment.setAtIndex(DOUBLE, index, value);
            case FLOAT32 -> segment.setAtIndex(FLOAT, index, (float) value);
            case FLOAT16 -> segment.setAtIndex(SHORT, index, Float.floatToFloat16((float) value));
            case BFLOAT16 -> segment.setAtIndex(SHORT, index, floatToBfloat16((float) value));
        }
    }

    /** Sets every element. */
    public void fill(double value) {
        if (value == 0) {
            segment.fill((byte) 0);
            return;
        }
        for (long i = 0; i < size; i++) {
            set(i, value);
        }
    }

    /** This tensor if it has that type already, else a converted copy. */
    public Tensor as(DataType target) {
        if (target == type) {
            return this;
        }
        Tensor copy = allocate(target, dims);
        if (type == DataType.FLOAT64) { // through float32 some of its elements would be rounded twice
            for (long i = 0; i < size; i++) {
                copy.set(i, get(i));
            }
            return copy;
        }
        inBlocks((at, count) -> {
            float[] values = new float[count];
            copyTo(at, values, 0, count);
            copy.copyFrom(values, 0, at, count);
        });
        return copy;
    }

    /** The same elements in memory of their own, which can be written even where this tensor's, such as a mapped file's, cannot. */
    public Tensor copy() {
        Tensor copy = allocate(type, dims);
        copy.segment.copyFrom(segment);
        return copy;
    }

    /** A heap copy in float32. At most 2^31-1 elements. */
    public float[] toFloatArray() {
        float[] values = new float[Math.toIntExact(size)];
        copyTo(0, values, 0, values.length);
        return values;
    }

    /**
     * Copies elements to the heap as float32, whole blocks at a time: converting half precision element by element would
     * take longer than its attention.
     *
     * @param from row-major position of the first element
     * @param target gets them at {@code at} and on
     * @throws IndexOutOfBoundsException if the tensor or the array ends before {@code count} elements
     */
    public void copyTo(long from, float[] target, int at, int count) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(segment, FLOAT, from * Float.BYTES, target, at, count);
            case FLOAT64 -> {
                for (int i = 0; i < count; i++) {
                    target[at + i] = (float) get(from + i);
                }
            }
            case FLOAT16, BFLOAT16 -> {
                short[] bits = new short[Math.min(count, BLOCK)];
                for (int i = 0; i < count; i += bits.length) {
                    int length = Math.min(bits.length, count - i);
                    MemorySegment.copy(segment, SHORT, (from + i) * Short.BYTES, bits, 0, length);
                    widen(bits, target, at + i, length);
                }
            }
        }
    }

    private void widen(short[] bits, float[] target, int at, int length) {
        if (type == DataType.FLOAT16) {
            for (int i = 0; i < length; i++) {
                target[at + i] = Float.float16ToFloat(bits[i]);
            }
        } else {
            for (int i = 0; i < length; i++) {
                target[at + i] = bfloat16ToFloat(bits[i]);
            }
        }
    }

    /**
     * Stores float32 values from the heap, rounded to this tensor's type, whole blocks at a time; the way back of {@link #copyTo}.
     *
     * @param source its elements from {@code at} on are stored
     * @param to row-major position of the first element that is set
     * @throws IndexOutOfBoundsException if the tensor or the array ends before {@code count} elements
     */
    public void copyFrom(float[] source, int at, long to, int count) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(source, at, segment, FLOAT, to * Float.BYTES, count);
            case FLOAT64 -> {
                for (int i = 0; i < count; i++) {
                    segment.setAtIndex(DOUBLE, to + i, source[at + i]);
                }
            }
            case FLOAT16, BFLOAT16 -> {
                short[] bits = new short[Math.min(count, BLOCK)];
                for (int i = 0; i < count; i += bits.length) {
                    int length = Math.min(bits.length, count - i);
                    narrow(source, at + i, bits, length);
                    MemorySegment.copy(bits, 0, segment, SHORT, (to + i) * Short.BYTES, length);
                }
            }
        }
    }

    private void narrow(float[] source, int at, short[] bits, int length) {
        if (type == DataType.FLOAT16) {
            for (int i = 0; i < length; i++) {
                bits[i] = Float.floatToFloat16(source[at + i]);
            }
        } else {
            for (int i = 0; i < length; i++) {
                bits[i] = floatToBfloat16(source[at + i]);
            }
        }
    }

    /** Work on a run of elements. */
    @FunctionalInterface
    public interface Block {
        /**
         * @param at row-major position of the first element
         * @param count how many there are
         */
        void of(long at, int count);
    }

    /** Numbers of blocks, on all processors where the segment is not confined to one thread. */
    private LongStream blocks() {
        LongStream blocks = LongStream.range(0, Math.ceilDiv(size, PARALLEL_BLOCK));
        return segment.isAccessibleBy(ANOTHER) ? blocks.parallel() : blocks;
    }

    /** Does work for all elements, a block at a time, on all processors where the segment is not confined to one thread. */
    public void inBlocks(Block block) {
        blocks().forEach(n -> block.of(n * PARALLEL_BLOCK, (int) Math.min(PARALLEL_BLOCK, size - n * PARALLEL_BLOCK)));
    }

    /** A heap copy in float64. At most 2^31-1 elements. */
    public double[] toDoubleArray() {
        double[] values = new double[Math.toIntExact(size)];
        for (int i = 0; i < values.length; i++) {
            values[i] = get(i);
        }
        return values;
    }

    /** Row-major position of the first NaN or infinity, or -1. */
    public long firstNonFinite() {
        return blocks().map(n -> firstNonFinite(n * PARALLEL_BLOCK, Math.min(size, (n + 1) * PARALLEL_BLOCK)))
                .filter(at -> at >= 0).findFirst().orElse(-1);
    }

    private long firstNonFinite(long from, long to) {
        if (type != DataType.FLOAT64) {
            float[] values = new float[(int) Math.min(BLOCK, to - from)];
            float sum = 0;
            for (long at = from; at < to; at += BLOCK) {
                int count = (int) Math.min(BLOCK, to - at);
                copyTo(at, values, 0, count);
                for (int i = 0; i < count; i++) {
                    sum += values[i] * 0; // 0, or NaN where any is not finite: a loop without a branch
                }
            }
            if (sum == 0) {
                return -1;
            }
        }
        for (long i = from; i < to; i++) {
            if (!Double.isFinite(get(i))) {
                return i;
            }
        }
        return -1;
    }

    /** A row-major position as coordinates, such as {@code [0, 3, 17]}. */
    public String coordinates(long index) {
        long[] at = new long[dims.length];
        long rest = index;
        for (int axis = dims.length - 1; axis >= 0; axis--) {
            at[axis] = rest % dims[axis];
            rest /= dims[axis];
        }
        return Arrays.toString(at);
    }

    @Override
    public String toString() {
        return type + shapeString(dims);
    }

    /** Sizes as people write them, such as {@code (1,4,1024,64)}. */
    public static String shapeString(long... dims) {
        return Arrays.stream(dims).mapToObj(Long::toString).collect(Collectors.joining(",", "(", ")"));
    }

    private static long elementCount(long[] dims) {
        long count = 1;
        for (long dim : dims) {
            if (dim < 0) {
                throw new InvalidInputException("a tensor cannot have the negative size in " + shapeString(dims));
            }
            count = Math.multiplyExact(count, dim);
        }
        return count;
    }

    private static void requireCount(int given, Tensor tensor) {
        if (given != tensor.size) {
            throw new InvalidInputException("shape " + shapeString(tensor.dims) + " has " + tensor.size
                    + " elements, but " + given + " values were given");
        }
    }

    private static float bfloat16ToFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    private static short floatToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
