package io.github.flashlla.tornado.kernels.tile;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * Runs a kernel's work-groups on the JVM, a virtual thread for each of the GPU's, with local memory that starts as garbage and copies
 * that are there when they are awaited and not before.
 */
public final class JvmGroup {
    private static final int GARBAGE = 0x7e007e00; // two NaN of float16

    private static final Runnable NOTHING = () -> {};

    private final Meeting all;
    private final List<int[]> local = new ArrayList<>();
    private final List<float[]> floats = new ArrayList<>();
    private final AtomicInteger counting = new AtomicInteger();
    private final Runnable count = this::count;
    private final Lanes[] warps;
    private int counted;

    private JvmGroup(int threads) {
        all = new Meeting(threads);
        warps = new Lanes[Math.ceilDiv(threads, 32)];
        Arrays.setAll(warps, (int w) -> new Lanes(Math.min(32, threads)));
    }

    public static void run(int groups, int threads, Consumer<KernelContext> kernel) {
        for (int g = 0; g < groups; g++) {
            JvmGroup group = new JvmGroup(threads);
            int index = g;
            AtomicReference<Throwable> failure = new AtomicReference<>();
            try (ExecutorService pool = Executors.newVirtualThreadPerTaskExecutor()) {
                for (int t = 0; t < threads; t++) {
                    int thread = t;
                    pool.execute(() -> {
                        try {
                            ScopedValue.where(Warp.CURRENT, group.warps[thread / 32].lane(group, thread))
                                    .run(() -> kernel.accept(group.context(index, thread, threads)));
                        } catch (Throwable e) { // the others would wait for it for ever
                            failure.compareAndSet(null, e);
                            pool.shutdownNow();
                        }
                    });
                }
            }
            if (failure.get() != null) {
                throw new AssertionError("a thread of group " + g + " failed", failure.get());
            }
        }
    }

    private KernelContext context(int group, int thread, int threads) {
        KernelContext context = new MatrixUnits() {
            private int arrays;
            private int floatArrays;

            @Override
            public int[] allocateIntLocalArray(int size) {
                synchronized (local) {
                    if (arrays == local.size()) {
                        int[] array = new int[size];
                        Arrays.fill(array, GARBAGE);
                        local.add(array);
                    }
                    return local.get(arrays++);
                }
            }

            @Override
            public float[] allocateFloatLocalArray(int size) {
                synchronized (floats) {
                    if (floatArrays == floats.size()) {
                        float[] array = new float[size];
                        Arrays.fill(array, Float.NaN);
                        floats.add(array);
                    }
                    return floats.get(floatArrays++);
                }
            }

            @Override
            public void localBarrier() {
                all.meet(thread, NOTHING);
            }

            @Override
            public void globalBarrier() {
                all.meet(thread, NOTHING); // TornadoVM's is one of a group, too
            }
        };
        set(context, "groupIdx", group);
        set(context, "localIdx", thread);
        set(context, "localGroupSizeX", threads);
        set(context, "globalIdx", group * threads + thread);
        return context;
    }

    private void count() {
        counted = counting.getAndSet(0);
    }

    private static void set(KernelContext context, String name, int value) {
        try {
            Field field = KernelContext.class.getField(name);
            field.setAccessible(true);
            field.set(context, value);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Where threads meet. What is to be done once all are there is done by the last one, before any goes on. */
    private static final class Meeting {
        private final Thread[] threads;
        private final Runnable[] asked;
        private final AtomicInteger arrived = new AtomicInteger();
        private volatile int round;

        Meeting(int threads) {
            this.threads = new Thread[threads];
            asked = new Runnable[threads];
        }

        /** @param place of this thread among those that meet here */
        void meet(int place, Runnable together) {
            int now = round;
            threads[place] = Thread.currentThread();
            asked[place] = together;
            if (arrived.incrementAndGet() == threads.length) {
                for (Runnable other : asked) {
                    if (other != together) {
                        throw new AssertionError("threads that must do the same do not");
                    }
                }
                together.run();
                arrived.set(0);
                round = now + 1;
                for (int i = 0; i < threads.length; i++) {
                    LockSupport.unpark(threads[(now & 1) == 0 ? i : threads.length - 1 - i]); // in turns, so that a missing barrier shows
                }
            }
            while (round == now) {
                LockSupport.park(this);
                if (Thread.currentThread().isInterrupted()) {
                    throw new IllegalStateException("another thread failed");
                }
            }
        }
    }

    /** What the threads of a warp do together. */
    private static final class Lanes {
        private final Meeting meeting;
        private final float[] floats = new float[32];
        private final float[] exchanged = new float[32];
        private final int[] ints = new int[32];
        private final int[][] a = new int[32][4];
        private final int[][] b = new int[32][2];
        private final float[][] into = new float[32][];
        private final int[] at = new int[32];
        private final float[] elementsA = new float[16 * 16];
        private final float[] elementsB = new float[16 * 8];
        private final int[][] loaded = new int[32][];
        private int[] tile;
        private boolean any;
        private final Runnable exchange = () -> System.arraycopy(floats, 0, exchanged, 0, 32);
        private final Runnable vote = () -> any = Arrays.stream(ints).anyMatch((int x) -> x != 0);
        private final Runnable product = this::product;
        private final Runnable load = this::load;
        private final Runnable loadTransposed = this::loadTransposed;

        Lanes(int threads) {
            meeting = new Meeting(threads);
        }

        private void product() {
            for (int lane = 0; lane < 32; lane++) {
                int line = lane >> 2;
                int k = 2 * (lane & 3);
                for (int i = 0; i < 4; i++) {
                    int element = (line + 8 * (i & 1)) * 16 + k + 8 * (i >> 1);
                    elementsA[element] = half(a[lane][i], 0);
                    elementsA[element + 1] = half(a[lane][i], 1);
                }
                for (int i = 0; i < 2; i++) {
                    int element = (k + 8 * i) * 8 + line;
                    elementsB[element] = half(b[lane][i], 0);
                    elementsB[element + 8] = half(b[lane][i], 1);
                }
            }
            for (int lane = 0; lane < 32; lane++) {
                for (int i = 0; i < 4; i++) {
                    int row = ((lane >> 2) + 8 * (i >> 1)) * 16;
                    int column = 2 * (lane & 3) + (i & 1);
                    float sum = 0;
                    for (int k = 0; k < 16; k++) {
                        sum += elementsA[row + k] * elementsB[8 * k + column];
                    }
                    into[lane][at[lane] + i] = sum;
                }
            }
        }

        private void load() {
            for (int lane = 0; lane < 32; lane++) {
                for (int m = 0; m < 4; m++) {
                    loaded[lane][at[lane] + m] = tile[ints[8 * m + (lane >> 2)] / 4 + (lane & 3)];
                }
            }
        }

        private void loadTransposed() {
            for (int lane = 0; lane < 32; lane++) {
                int row = 2 * (lane & 3);
                int column = lane >> 2;
                for (int m = 0; m < 4; m++) {
                    loaded[lane][at[lane] + m] = bits(tile, ints[8 * m + row], column) | bits(tile, ints[8 * m + row + 1], column) << 16;
                }
            }
        }

        Warp lane(JvmGroup group, int thread) {
            int lane = thread % 32;
            return new Warp() {
                private final List<List<Runnable>> sets = new ArrayList<>();
                private List<Runnable> open = new ArrayList<>();
                private final List<List<Runnable>> products = new ArrayList<>();
                private List<Runnable> openProducts = new ArrayList<>();

                @Override
                public int lane() {
                    return lane;
                }

                @Override
                public float exchange(float x, int from) {
                    floats[lane] = x;
                    meeting.meet(lane, exchange);
                    return exchanged[from];
                }

                @Override
                public int count(int predicate) {
                    if (predicate != 0) {
                        group.counting.incrementAndGet();
                    }
                    group.all.meet(thread, group.count);
                    return group.counted;
                }

                @Override
                public boolean any(int predicate) {
                    ints[lane] = predicate;
                    meeting.meet(lane, vote);
                    return any;
                }

                @Override
                public void barrier() {
                    meeting.meet(lane, NOTHING);
                }

                @Override
                public void product(float[] sums, int sumsAt, int[] fragmentA, int aAt, int[] fragmentB, int bAt) {
                    System.arraycopy(fragmentA, aAt, a[lane], 0, 4);
                    System.arraycopy(fragmentB, bAt, b[lane], 0, 2);
                    into[lane] = sums;
                    at[lane] = sumsAt;
                    meeting.meet(lane, product);
                }

                @Override
                public void load4(int[] fragment, int fragmentAt, int[] from, int rowByte, boolean transposed) {
                    if (rowByte % 16 != 0) {
                        throw new AssertionError("a row starts at byte " + rowByte);
                    }
                    ints[lane] = rowByte;
                    loaded[lane] = fragment;
                    at[lane] = fragmentAt;
                    tile = from;
                    meeting.meet(lane, transposed ? loadTransposed : load);
                }

                @Override
                public void copy16(int[] tile, int toByte, HalfFloatArray from, int element) {
                    if (toByte % 16 != 0 || element % 8 != 0) {
                        throw new AssertionError("a copy from element " + element + " to byte " + toByte);
                    }
                    open.add(() -> {
                        for (int i = 0; i < 4; i++) {
                            tile[toByte / 4 + i] = from.get(element + 2 * i).getHalfFloatValue() & 0xffff
                                    | from.get(element + 2 * i + 1).getHalfFloatValue() << 16;
                        }
                    });
                }

                @Override
                public void copy16(int[] tile, int toByte, FloatArray from, int element) {
                    if (toByte % 16 != 0 || element % 4 != 0) {
                        throw new AssertionError("a copy from float " + element + " to byte " + toByte);
                    }
                    open.add(() -> {
                        for (int i = 0; i < 4; i++) {
                            tile[toByte / 4 + i] = Float.floatToRawIntBits(from.get(element + i));
                        }
                    });
                }

                @Override
                public void multiply(float[] c, int at, int columns, int[] fragment, int aAt, Matrix b, boolean add) {
                    System.arraycopy(fragment, aAt, a[lane], 0, 4);
                    meeting.meet(lane, NOTHING);
                    float[][] rows = new float[2][16];
                    for (int i = 0; i < 2; i++) {
                        for (int k = 0; k < 16; k++) {
                            rows[i][k] = half(a[(lane & -4) + (k & 7) / 2][i + 2 * (k >> 3)], k & 1);
                        }
                    }
                    meeting.meet(lane, NOTHING);
                    later(c, at, columns, (int i, int k) -> rows[i][k], b, add);
                }

                @Override
                public void multiply(float[] c, int at, int columns, Matrix inLocalMemory, Matrix b, boolean add) {
                    int row = thread % 128 / 32 * 16 + (lane >> 2);
                    later(c, at, columns, (int i, int k) -> inLocalMemory.at(row + 8 * i, k), b, add);
                }

                private void later(float[] c, int at, int columns, Matrix twoRows, Matrix b, boolean add) {
                    openProducts.add(() -> {
                        for (int i = 0; i < columns / 2; i++) {
                            float sum = add ? c[at + i] : 0;
                            for (int k = 0; k < 16; k++) {
                                sum += twoRows.at(i >> 1 & 1, k) * b.at(k, 8 * (i >> 2) + 2 * (lane & 3) + (i & 1));
                            }
                            c[at + i] = sum;
                        }
                    });
                }

                @Override
                public void commitProducts() {
                    products.add(openProducts);
                    openProducts = new ArrayList<>();
                }

                @Override
                public void awaitProducts(int pending) {
                    while (products.size() > pending) {
                        products.removeFirst().forEach(Runnable::run);
                    }
                }

                @Override
                public void commit() {
                    sets.add(open);
                    open = new ArrayList<>();
                }

                @Override
                public void await(int pending) {
                    while (sets.size() > pending) {
                        sets.removeFirst().forEach(Runnable::run);
                    }
                }
            };
        }

        private static int bits(int[] tile, int rowByte, int column) {
            return tile[rowByte / 4 + column / 2] >>> 16 * (column & 1) & 0xffff;
        }

        private static float half(int pair, int which) {
            return Float.float16ToFloat((short) (pair >>> 16 * which));
        }
    }
}
