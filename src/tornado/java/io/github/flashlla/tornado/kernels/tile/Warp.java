package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * What threads of a warp or of a work-group do together, as the bodies of {@link Tile}'s operations ask for it on the JVM. Tests bind
 * one that has a Java thread for each of the GPU's. Where none is bound, the body of such an operation throws.
 */
public interface Warp {
    ScopedValue<Warp> CURRENT = ScopedValue.newInstance();

    static Warp current() {
        return CURRENT.get();
    }

    /** What lane {@code from} gives as its own {@code x}. */
    float exchange(float x, int from);

    /** This thread's lane, 0 to 31. */
    int lane();

    /** How many threads of the group give something other than 0. */
    int count(int predicate);

    /** Whether a thread of the warp gives something other than 0. */
    boolean any(int predicate);

    /** The 16 x 8 product of fragments, this lane's four elements of it. */
    void product(float[] into, int at, int[] a, int aAt, int[] b, int bAt);

    void load4(int[] fragment, int at, int[] tile, int rowByte, boolean transposed);

    /** Not there before {@link #await}. */
    void copy16(int[] tile, int toByte, HalfFloatArray from, int element);

    /** The same of four floats. */
    void copy16(int[] tile, int toByte, FloatArray from, int element);

    void commit();

    void await(int pending);

    void barrier();

    /**
     * c[at..] = A B, or that added to it, of 64 rows by {@link WarpGroup}'s layout: not there before {@link #awaitProducts}, and what B has then.
     *
     * @param a this lane's fragment
     */
    void multiply(float[] c, int at, int columns, int[] a, int aAt, Matrix b, boolean add);

    /** The same of an A in local memory. */
    void multiply(float[] c, int at, int columns, Matrix a, Matrix b, boolean add);

    void commitProducts();

    void awaitProducts(int pending);

    /** A matrix in local memory. */
    interface Matrix {
        float at(int row, int column);
    }
}
