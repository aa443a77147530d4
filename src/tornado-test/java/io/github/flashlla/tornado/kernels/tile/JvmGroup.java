package io.github.flashlla.tornado.kernels.tile;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
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

    private final CyclicBarrier all;
    private final List<int[]> local = new ArrayList<>();
    private final List<float[]> floats = new ArrayList<>();
    private final AtomicIntegerArray counts = new AtomicIntegerArray(3);
    private final AtomicInteger[] counted;
    private final Lanes[] warps;

    private JvmGroup(int threads) {
        all = new CyclicBarrier(threads);
        warps = new Lanes[Math.ceilDiv(threads, 32)];
        Arrays.setAll(warps, (int w) -> new Lanes(Math.min(32, threads)));
        counted = new AtomicInteger[threads];
        Arrays.setAll(counted, (int t) -> new AtomicInteger());
    }

    public static void run(int groups, int threads, Consumer<KernelContext> kernel) {
        for (int g = 0; g < groups; g++) {
            JvmGroup group = new JvmGroup(threads);
            int index = g;
            try (ExecutorService pool = Executors.newVirtualThreadPerTaskExecutor()) {
                List<Future<?>> tasks = new ArrayList<>();
                for (int t = 0; t < threads; t++) {
                    int thread = t;
                    tasks.add(pool.submit(() -> ScopedValue.where(Warp.CURRENT, group.warps[thread / 32].lane(group, thread))
                            .run(() -> kernel.accept(group.context(index, thread, threads)))));
                }
                for (Future<?> task : tasks) {
                    try {
                        task.get();
                    } catch (ExecutionException | InterruptedException e) {
                        pool.shutdownNow();
                        throw new AssertionError("a thread of group " + g + " failed", e);
                    }
                }
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
                pass(all);
            }

            @Override
            public void globalBarrier() {
                pass(all); // TornadoVM's is one of a group, too
            }
        };
        set(context, "groupIdx", group);
        set(context, "localIdx", thread);
        set(context, "localGroupSizeX", threads);
        set(context, "globalIdx", group * threads + thread);
        return context;
    }

    private int count(int thread, int predicate) {
        int round = counted[thread].getAndIncrement() % 3; // the one behind the next is free
        if (predicate != 0) {
            counts.incrementAndGet(round);
        }
        pass(all);
        int count = counts.get(round);
        if (thread == 0) {
            counts.set((round + 2) % 3, 0);
        }
        pass(all);
        return count;
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

    private static void pass(CyclicBarrier barrier) {
        try {
            barrier.await();
        } catch (InterruptedException | BrokenBarrierException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What the threads of a warp do together. */
    private static final class Lanes {
        private final CyclicBarrier barrier;
        private final float[] floats = new float[32];
        private final int[] ints = new int[32];
        private final int[][] a = new int[32][4];
        private final int[][] b = new int[32][2];

        Lanes(int threads) {
            barrier = new CyclicBarrier(threads);
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
                    pass(barrier);
                    float other = floats[from];
                    pass(barrier);
                    return other;
                }

                @Override
                public int count(int predicate) {
                    return group.count(thread, predicate);
                }

                @Override
                public boolean any(int predicate) {
                    ints[lane] = predicate;
                    pass(barrier);
                    boolean any = Arrays.stream(ints).anyMatch((int x) -> x != 0);
                    pass(barrier);
                    return any;
                }

                @Override
                public void barrier() {
                    pass(barrier);
                }

                @Override
                public void product(float[] into, int at, int[] fragmentA, int aAt, int[] fragmentB, int bAt) {
                    System.arraycopy(fragmentA, aAt, a[lane], 0, 4);
                    System.arraycopy(fragmentB, bAt, b[lane], 0, 2);
                    pass(barrier);
                    for (int i = 0; i < 4; i++) {
                        int row = (lane >> 2) + 8 * (i >> 1);
                        int column = 2 * (lane & 3) + (i & 1);
                        float sum = 0;
                        for (int k = 0; k < 16; k++) {
                            sum += half(a[(row & 7) * 4 + (k & 7) / 2][(row >> 3) + 2 * (k >> 3)], k & 1)
                                    * half(b[column * 4 + (k & 7) / 2][k >> 3], k & 1);
                        }
                        into[at + i] = sum;
                    }
                    pass(barrier);
                }

                @Override
                public void load4(int[] fragment, int at, int[] tile, int rowByte, boolean transposed) {
                    if (rowByte % 16 != 0) {
                        throw new AssertionError("a row starts at byte " + rowByte);
                    }
                    ints[lane] = rowByte;
                    pass(barrier);
                    for (int m = 0; m < 4; m++) {
                        if (transposed) {
                            int row = 2 * (lane & 3);
                            int column = lane >> 2;
                            fragment[at + m] = bits(tile, ints[8 * m + row], column) | bits(tile, ints[8 * m + row + 1], column) << 16;
                        } else {
                            fragment[at + m] = tile[ints[8 * m + (lane >> 2)] / 4 + (lane & 3)];
                        }
                    }
                    pass(barrier);
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
                    pass(barrier);
                    float[][] rows = new float[2][16];
                    for (int i = 0; i < 2; i++) {
                        for (int k = 0; k < 16; k++) {
                            rows[i][k] = half(a[(lane & -4) + (k & 7) / 2][i + 2 * (k >> 3)], k & 1);
                        }
                    }
                    pass(barrier);
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
