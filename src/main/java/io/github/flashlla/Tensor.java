package io.github.flashlla;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * An array of numbers in off-heap memory, row-major or a view with strides.
 *
 * <p>Every device reads views where they are. Positions are row-major ones of the view's own sizes, wherever its elements lie.
 *
 * <p>The tensor does not own its memory: an {@link Arena} does. {@link #allocate(DataType, long...)} uses an automatic
 * arena, so that such a tensor lives as long as it is reachable. Not synchronised: share for reading only.
 */
public final class Tensor {

    /** Alignment of tensors allocated here: one cache line, and the widest vector register. */
    public static final int ALIGNMENT_BYTES = 64;

    private static final int BLOCK = 4096;
    private static final int PARALLEL_BLOCK = 1 << 16;

    /** Stands for any thread but the one that made a confined segment. */
    private static final Thread ANOTHER = Thread.ofPlatform().unstarted(() -> {});

    private final DataType type;
    private final long[] dims;
    private final long size;
    /** Null where elements lie in the order of their positions. */
    private final Steps steps;
    /** From the first element to the last. */
    private final MemorySegment segment;

    private Tensor(DataType type, long[] dims, MemorySegment segment) {
        this.type = type;
        this.dims = dims;
        this.size = elementCount(dims);
        this.steps = null;
        this.segment = segment;
    }

    /** A view whose first element is the memory's. */
    private Tensor(DataType type, Steps steps, MemorySegment memory) {
        this.type = type;
        this.dims = steps.dims();
        this.size = elementCount(dims);
        this.steps = steps.isRowMajor() ? null : steps;
        this.segment = memory.asSlice(0, steps.span() * type.bytes());
    }

    /**
     * A zeroed tensor in memory of its own, freed when unreachable.
     *
     * @param dims sizes, outermost first: counts of elements, each at least 0; none for a single number
     * @throws InvalidInputException if a size is negative, or the bytes of all are beyond a long
     */
    public static Tensor allocate(DataType type, long... dims) {
        return allocate(Arena.ofAuto(), type, dims);
    }

    /** A zeroed tensor in memory of {@code arena}. */
    public static Tensor allocate(Arena arena, DataType type, long... dims) {
        long[] copy = dims.clone();
        long bytes = product(copy, elementCount(copy), type.bytes());
        return new Tensor(type, copy, arena.allocate(bytes, ALIGNMENT_BYTES));
    }

    /** A float32 copy of {@code values}, whose count must be the product of {@code dims}. */
    public static Tensor of(float[] values, long... dims) {
        Tensor tensor = allocate(DataType.FLOAT32, dims);
        requireCount(values.length, tensor);
        MemorySegment.copy(values, 0, tensor.segment, Elements.FLOAT, 0, values.length);
        return tensor;
    }

    /** A float64 copy of {@code values}, whose count must be the product of {@code dims}. */
    public static Tensor of(double[] values, long... dims) {
        Tensor tensor = allocate(DataType.FLOAT64, dims);
        requireCount(values.length, tensor);
        MemorySegment.copy(values, 0, tensor.segment, Elements.DOUBLE, 0, values.length);
        return tensor;
    }

    /**
     * A view of memory that the caller owns: little-endian, row-major.
     *
     * @throws InvalidInputException if the memory is not exactly as long as {@code dims} needs
     */
    public static Tensor wrap(MemorySegment segment, DataType type, long... dims) {
        long[] copy = dims.clone();
        long bytes = product(copy, elementCount(copy), type.bytes());
        if (segment.byteSize() != bytes) {
            throw new InvalidInputException("a " + type + " tensor of shape " + shapeString(copy) + " takes " + bytes
                    + " bytes, but the memory given has " + segment.byteSize());
        }
        return new Tensor(type, copy, segment);
    }

    /**
     * A view with strides of memory that the caller owns, such as one of (B,S,H,D) as (B,H,S,D): element (i, j, ...) lies
     * i strides[0] + j strides[1] + ... elements after the first.
     *
     * @param memory little-endian, beginning with the first element, and as long as the last one needs
     * @param strides 0 or more for each axis, in elements; 0 repeats an element
     * @throws InvalidInputException if an element would lie outside the memory
     */
    public static Tensor wrap(MemorySegment memory, DataType type, long[] dims, long[] strides) {
        elementCount(dims);
        Steps steps = Steps.of(dims, strides);
        long bytes;
        try {
            bytes = Math.multiplyExact(steps.span(), type.bytes());
        } catch (ArithmeticException e) {
            bytes = Long.MAX_VALUE;
        }
        if (bytes > memory.byteSize()) {
            throw new InvalidInputException("a " + type + " view of shape " + shapeString(dims) + " with strides " + shapeString(strides) + " spans "
                    + bytes + " bytes, but the memory given has " + memory.byteSize());
        }
        return new Tensor(type, steps, memory);
    }

    private Steps steps() {
        return steps == null ? Steps.rowMajor(dims) : steps;
    }

    /** For each axis, how far neighbours along it are apart, in elements; a copy. */
    public long[] strides() {
        return steps().steps();
    }

    /** Whether elements lie in the order of their positions, without gaps. */
    public boolean isRowMajor() {
        return steps == null;
    }

    /** A view, of the same memory, with axes in another order: {@code permute(0, 2, 1, 3)} makes (B,H,S,D) of (B,S,H,D). */
    public Tensor permute(int... axes) {
        return new Tensor(type, steps().permute(axes), segment);
    }

    /**
     * A view of a part of one axis, such as the queries of packed q, k and v.
     *
     * @throws IndexOutOfBoundsException if the axis is shorter
     */
    public Tensor part(int axis, long from, long count) {
        Objects.checkFromIndexSize(from, count, dims[axis]);
        Steps cut = steps().cut(axis, count);
        return new Tensor(type, cut, size == 0 || count == 0 ? segment : segment.asSlice(from * cut.steps()[axis] * type.bytes()));
    }

    /**
     * The same memory under other sizes with the same product; of a view, only axes of size 1 can come and go.
     *
     * @throws InvalidInputException if the products differ, or a view would need strides that it has not
     */
    public Tensor reshape(long... newDims) {
        if (elementCount(newDims) != size) {
            throw new InvalidInputException("cannot reshape " + shapeString(dims) + " to " + shapeString(newDims)
                    + ": the element counts differ");
        }
        if (steps == null) {
            return new Tensor(type, newDims.clone(), segment);
        }
        Steps reshaped = steps.reshape(newDims);
        if (reshaped == null) {
            throw new InvalidInputException("a view with strides cannot be reshaped from " + shapeString(dims) + " to " + shapeString(newDims)
                    + "; reshape its copy()");
        }
        return new Tensor(type, reshaped, segment);
    }

    /** Type of the elements as they lie in memory. */
    public DataType type() {
        return type;
    }

    /** Sizes, outermost first; a copy. */
    public long[] dims() {
        return dims.clone();
    }

    /** Number of axes. */
    public int rank() {
        return dims.length;
    }

    /** Size of an axis; 0 is the outermost. */
    public long dim(int axis) {
        return dims[axis];
    }

    /** Number of elements. */
    public long size() {
        return size;
    }

    /** Bytes of the elements. */
    public long byteSize() {
        return size * type.bytes();
    }

    /**
     * The memory itself, row-major, little-endian, {@link #byteSize()} long.
     *
     * @throws InvalidInputException if this is a view with strides
     */
    public MemorySegment segment() {
        if (steps != null) {
            throw new InvalidInputException("the elements of a view with strides " + shapeString(strides())
                    + " do not lie side by side; take memory() and strides(), or a copy()");
        }
        return segment;
    }

    /** The memory from the first element to the last, of a view with what lies between its elements. */
    public MemorySegment memory() {
        return segment;
    }

    /**
     * Element at a row-major position, widened to float64.
     *
     * @throws IndexOutOfBoundsException if there is no such position
     */
    public double get(long position) {
        return Elements.get(type, segment, place(position));
    }

    /** Sets the element at a row-major position, rounded to nearest even. */
    public void set(long position, double value) {
        Elements.set(type, segment, place(position), value);
    }

    private long place(long position) {
        return steps == null ? position : steps.place(Objects.checkIndex(position, size));
    }

    /** Sets every element. */
    public void fill(double value) {
        if (value == 0 && steps == null) {
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
        inBlocks((at, count) -> {
            if (steps == null) {
                MemorySegment.copy(segment, at * type.bytes(), copy.segment, at * type.bytes(), (long) count * type.bytes());
            } else {
                steps.forEachRun(at, count, (place, run, done) -> MemorySegment.copy(segment, place * type.bytes(), copy.segment,
                        (at + done) * type.bytes(), (long) run * type.bytes()));
            }
        });
        return copy;
    }

    /** This tensor if it is row-major already, else a {@link #copy}. */
    public Tensor rowMajor() {
        return steps == null ? this : copy();
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
        if (steps == null) {
            Elements.load(type, segment, from, target, at, count);
        } else {
            Objects.checkFromIndexSize(from, count, size);
            steps.forEachRun(from, count, (place, run, done) -> Elements.load(type, segment, place, target, at + done, run));
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
        if (steps == null) {
            Elements.store(type, source, at, segment, to, count);
        } else {
            Objects.checkFromIndexSize(to, count, size);
            steps.forEachRun(to, count, (place, run, done) -> Elements.store(type, source, at + done, segment, place, run));
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

    /** The same in blocks of whole rows. {@code size()} must be a multiple of {@code rowLength}. */
    public void inBlocks(int rowLength, Block block) {
        long each = Math.max(1, PARALLEL_BLOCK / rowLength) * (long) rowLength;
        LongStream blocks = LongStream.range(0, Math.ceilDiv(size, each));
        (segment.isAccessibleBy(ANOTHER) ? blocks.parallel() : blocks)
                .forEach(n -> block.of(n * each, (int) Math.min(each, size - n * each)));
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
            count = product(dims, count, dim);
        }
        return count;
    }

    /** @param dims what the product belongs to, for messages */
    private static long product(long[] dims, long a, long b) {
        try {
            return Math.multiplyExact(a, b);
        } catch (ArithmeticException e) {
            throw new InvalidInputException("a tensor of shape " + shapeString(dims) + " is larger than any memory");
        }
    }

    private static void requireCount(int given, Tensor tensor) {
        if (given != tensor.size) {
            throw new InvalidInputException("shape " + shapeString(tensor.dims) + " has " + tensor.size
                    + " elements, but " + given + " values were given");
        }
    }
}
