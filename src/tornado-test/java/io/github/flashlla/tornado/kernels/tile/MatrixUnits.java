package io.github.flashlla.tornado.kernels.tile;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.MethodModel;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** TornadoVM's own operations on matrix units, for {@link JvmGroup}: the layouts are those of the CUDA C that it writes. */
public abstract class MatrixUnits extends KernelContext {
    private static final Map<FloatArray, float[]> VIEWS = Collections.synchronizedMap(new IdentityHashMap<>());
    private static final Map<float[], FloatArray> VIEWED = Collections.synchronizedMap(new IdentityHashMap<>());

    private final List<List<Runnable>> sets = new ArrayList<>();
    private List<Runnable> open = new ArrayList<>();

    /** What {@link Fragments#stored} gives a kernel of {@link #classes}. */
    public static FloatArray view(Object local) {
        return VIEWED.computeIfAbsent((float[]) local, array -> {
            FloatArray view = new FloatArray(1);
            VIEWS.put(view, array);
            return view;
        });
    }

    /** A loader of kernels whose names begin with one of these, in which {@link Fragments#stored} takes arrays of the JVM. */
    public static ClassLoader classes(String... prefixes) {
        return new ClassLoader(MatrixUnits.class.getClassLoader()) {
            @Override
            protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
                boolean own = name.equals(Fragments.class.getName());
                for (String prefix : prefixes) {
                    own |= name.startsWith(prefix);
                }
                if (!own) {
                    return super.loadClass(name, resolve);
                }
                Class<?> there = findLoadedClass(name);
                return there != null ? there : define(name);
            }

            private Class<?> define(String name) {
                try (InputStream in = getResourceAsStream(name.replace('.', '/') + ".class")) {
                    byte[] bytes = stored(in.readAllBytes());
                    return defineClass(name, bytes, 0, bytes.length);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
    }

    private static byte[] stored(byte[] bytes) {
        ClassFile file = ClassFile.of();
        return file.transformClass(file.parse(bytes), (builder, element) -> {
            if (element instanceof MethodModel method && method.methodName().equalsString("stored")) {
                builder.withMethodBody(method.methodName(), method.methodType(), method.flags().flagsMask(),
                        code -> code.aload(0).invokestatic(ClassDesc.of(MatrixUnits.class.getName()), "view",
                                MethodTypeDesc.of(ClassDesc.of(FloatArray.class.getName()), ConstantDescs.CD_Object)).areturn());
            } else {
                builder.with(element);
            }
        });
    }

    @Override
    public HalfFloat[] mmaLoadA(int[] tile, int leading, int byteOffset) {
        int lane = Warp.current().lane();
        HalfFloat[] fragment = new HalfFloat[8];
        for (int m = 0; m < 4; m++) {
            int row = (m & 1) * 8 + (lane >> 2);
            set(fragment, m, tile[(byteOffset + row * leading * 2 + (m >> 1) * 16) / 4 + (lane & 3)]);
        }
        return fragment;
    }

    @Override
    public HalfFloat[] mmaLoadB(int[] tile, int leading, int byteOffset) {
        int lane = Warp.current().lane();
        HalfFloat[] fragment = new HalfFloat[4];
        for (int m = 0; m < 2; m++) {
            int row = byteOffset + m * 128 + 2 * (lane & 3) * 16;
            set(fragment, m, half(tile, row, lane >> 2) | half(tile, row + 16, lane >> 2) << 16);
        }
        return fragment;
    }

    private static int half(int[] tile, int rowByte, int column) {
        return tile[rowByte / 4 + column / 2] >>> 16 * (column & 1) & 0xffff;
    }

    private static void set(HalfFloat[] fragment, int at, int pair) {
        fragment[2 * at] = new HalfFloat((short) pair);
        fragment[2 * at + 1] = new HalfFloat((short) (pair >>> 16));
    }

    private static int[] pairs(HalfFloat[] fragment) {
        int[] pairs = new int[fragment.length / 2];
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] = fragment[2 * i].getHalfFloatValue() & 0xffff | fragment[2 * i + 1].getHalfFloatValue() << 16;
        }
        return pairs;
    }

    @Override
    public float[] mmaFragment(float value) {
        return new float[] {value, value, value, value};
    }

    @Override
    public float[] mma(HalfFloat[] a, HalfFloat[] b, float[] c, MMAShape shape) {
        float[] d = new float[4];
        Warp.current().product(d, 0, pairs(a), 0, pairs(b), 0);
        for (int i = 0; i < 4; i++) {
            d[i] += c[i];
        }
        return d;
    }

    @Override
    public void mmaStore(float[] fragment, FloatArray out, int row, int column, int leading) {
        int lane = Warp.current().lane();
        float[] local = VIEWS.get(out);
        for (int i = 0; i < 4; i++) {
            int at = (row + (lane >> 2) + 8 * (i >> 1)) * leading + column + 2 * (lane & 3) + (i & 1);
            if (local == null) {
                out.set(at, fragment[i]);
            } else {
                local[Fragments.HEADER + at] = fragment[i];
            }
        }
    }

    @Override
    public void asyncCopyToLocal(int[] tile, int to, HalfFloatArray from, int element) {
        open.add(() -> tile[to] = from.get(element).getHalfFloatValue() & 0xffff | from.get(element + 1).getHalfFloatValue() << 16);
    }

    @Override
    public void asyncCopyCommit() {
        sets.add(open);
        open = new ArrayList<>();
    }

    @Override
    public void asyncCopyWaitGroup(int pending) {
        while (sets.size() > pending) {
            sets.removeFirst().forEach(Runnable::run);
        }
    }
}
