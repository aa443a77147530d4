package io.github.flashlla.tornado.kernels.tile;

import java.lang.foreign.ValueLayout;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Operations of NVIDIA's GPUs that TornadoVM does not have, for kernels of its CUDA backend: each a Java method for the JVM, and the
 * CUDA C that a kernel has in its place ({@link CudaC}). {@link TileOperations} says whether they can be compiled.
 *
 * <p>Fragments of the matrix units are private arrays of whole registers, two float16 in each {@code int}, the first in its low bits.
 * Lane l holds, with g = l / 4 and t = l % 4:
 *
 * <pre>
 *   A, 16 x 16: a[0] row g, columns 2t, 2t+1   a[1] row g+8   a[2] row g, columns 2t+8, 2t+9   a[3] row g+8, those columns
 *   B, 16 x 8:  b[0] column g, rows 2t, 2t+1   b[1] rows 2t+8, 2t+9
 *   C, 16 x 8:  c[0], c[1] row g, columns 2t, 2t+1   c[2], c[3] row g+8
 * </pre>
 *
 * <p>So what {@link #half2} makes of C's neighbours is A of the next product. An index into such an array must be a constant once
 * loops are unrolled; one that varies sends the whole array to memory. Local memory is addressed in bytes, from {@link #address}.
 */
public final class Tile {
    /** Bytes in front of the elements of TornadoVM's arrays; {@link TileOperations} checks that it is so. */
    static final int HEADER = 16;

    private static final String MMA = "asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, ";
    private static final String FACTORS = "\"r\"($2[$3]), \"r\"($2[$3 + 1]), \"r\"($2[$3 + 2]), \"r\"($2[$3 + 3]),"
            + " \"r\"($4[$5]), \"r\"($4[$5 + 1])";
    private static final String LOAD4 = " {%0,%1,%2,%3}, [%4];\" : \"=r\"($0[$1]), \"=r\"($0[$1 + 1]), \"=r\"($0[$1 + 2]),"
            + " \"=r\"($0[$1 + 3]) : \"r\"($3) : \"memory\");";

    private Tile() {}

    /** 2^x, to a few units in the last place. */
    @CudaC("asm(\"ex2.approx.ftz.f32 %0, %1;\" : \"=f\"($r) : \"f\"($0));")
    public static float exp2(float x) {
        return (float) Math.pow(2, x);
    }

    /** log2 x, to a few units in the last place. */
    @CudaC("asm(\"lg2.approx.ftz.f32 %0, %1;\" : \"=f\"($r) : \"f\"($0));")
    public static float log2(float x) {
        return (float) (Math.log(x) / Math.log(2));
    }

    /** 1 / sqrt x, to a few units in the last place. */
    @CudaC("asm(\"rsqrt.approx.ftz.f32 %0, %1;\" : \"=f\"($r) : \"f\"($0));")
    public static float rsqrt(float x) {
        return 1f / TornadoMath.sqrt(x);
    }

    /**
     * x, in a register of its own: no compiler knows that it is x, not even the driver's, which sees through a move. All lanes of the
     * warp must get here.
     */
    @CudaC(value = "$r = __shfl_xor_sync(0xffffffffu, $0, 0);", effect = true)
    public static float opaque(float x) {
        return x;
    }

    /** The same; what is computed from it in a loop is computed there, and not kept in registers from before. */
    @CudaC(value = "$r = __shfl_xor_sync(0xffffffffu, $0, 0);", effect = true)
    public static int opaque(int x) {
        return x;
    }

    /** Two float16 in one register, each the nearest to its argument. */
    @CudaC("asm(\"cvt.rn.f16x2.f32 %0, %1, %2;\" : \"=r\"($r) : \"f\"($1), \"f\"($0));")
    public static int half2(float low, float high) {
        return Float.floatToFloat16(low) & 0xffff | Float.floatToFloat16(high) << 16;
    }

    /** The float16 in the low bits. */
    @CudaC("asm volatile(\"{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l; }\" : \"=f\"($r) : \"r\"($0));")
    public static float low(int pair) {
        return Float.float16ToFloat((short) pair);
    }

    /** The float16 in the high bits. */
    @CudaC("asm volatile(\"{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, h; }\" : \"=f\"($r) : \"r\"($0));")
    public static float high(int pair) {
        return Float.float16ToFloat((short) (pair >>> 16));
    }

    /** The float16 nearest to the products of two pairs. */
    @CudaC(value = "asm volatile(\"mul.rn.f16x2 %0, %1, %2;\" : \"=r\"($r) : \"r\"($0), \"r\"($1));", effect = true)
    public static int multiply2(int a, int b) {
        return half2(low(a) * low(b), high(a) * high(b));
    }

    /** The float16 nearest to the differences of two pairs. */
    @CudaC("asm(\"sub.rn.f16x2 %0, %1, %2;\" : \"=r\"($r) : \"r\"($0), \"r\"($1));")
    public static int subtract2(int a, int b) {
        return half2(low(a) - low(b), high(a) - high(b));
    }

    /** {@code x} of the lane whose number differs in the bits of {@code mask}. */
    @CudaC(value = "$r = __shfl_xor_sync(0xffffffffu, $0, $1);", effect = true)
    public static float shuffleXor(float x, int mask) {
        return Warp.current().exchange(x, Warp.current().lane() ^ mask);
    }

    /** {@code x} of that lane. */
    @CudaC(value = "$r = __shfl_sync(0xffffffffu, $0, $1);", effect = true)
    public static float shuffle(float x, int lane) {
        return Warp.current().exchange(x, lane);
    }

    /** 1 if a lane of the warp gives something other than 0, else 0. */
    @CudaC(value = "$r = __any_sync(0xffffffffu, $0);", effect = true)
    public static int any(int predicate) {
        return Warp.current().any(predicate) ? 1 : 0;
    }

    /** How many threads of the work-group give something other than 0; a barrier, too. */
    @CudaC(value = "$r = __syncthreads_count($0);", effect = true)
    public static int count(int predicate) {
        return Warp.current().count(predicate);
    }

    /**
     * Adds 1 to an element and returns what it was: called by one thread of each group behind a barrier, it tells the last group that all of
     * them have written what they write. Behind another barrier all threads of that group see it.
     */
    @CudaC(value = "__threadfence(); $r = atomicAdd((int *) ((char *) $0 + 16) + $1, 1); __threadfence();", effect = true, reads = 0, writes = 0)
    public static int arrive(IntArray counts, int at) {
        Warp.current();
        synchronized (counts) {
            int before = counts.get(at);
            counts.set(at, before + 1);
            return before;
        }
    }

    /** Lanes of a warp wait for each other, and then see what the others wrote. */
    @CudaC(value = "__syncwarp();", effect = true)
    public static void warpBarrier() {
        Warp.current().barrier();
    }

    /** c[at..at+3] += A b, with A in a[aAt..aAt+3] and b in b[bAt], b[bAt+1]. */
    @CudaC(value = MMA + "{%0,%1,%2,%3};\" : \"+f\"($0[$1]), \"+f\"($0[$1 + 1]), \"+f\"($0[$1 + 2]), \"+f\"($0[$1 + 3]) : "
            + FACTORS + ");", effect = true)
    public static void mma(float[] c, int at, int[] a, int aAt, int[] b, int bAt) {
        float[] product = new float[4];
        Warp.current().product(product, 0, a, aAt, b, bAt);
        for (int i = 0; i < 4; i++) {
            c[at + i] += product[i];
        }
    }

    /** c[at..at+3] = A b. */
    @CudaC(value = MMA + "{%10,%10,%10,%10};\" : \"=f\"($0[$1]), \"=f\"($0[$1 + 1]), \"=f\"($0[$1 + 2]), \"=f\"($0[$1 + 3]) : "
            + FACTORS + ", \"f\"(0.0f));", effect = true)
    public static void mmaFromZero(float[] c, int at, int[] a, int aAt, int[] b, int bAt) {
        Warp.current().product(c, at, a, aAt, b, bAt);
    }

    /** c[at..at+3] = A b + from[0..3]; give {@code from} numbers of {@link #opaque}, or they are copied each time. */
    @CudaC(value = MMA + "{%10,%11,%12,%13};\" : \"=f\"($0[$1]), \"=f\"($0[$1 + 1]), \"=f\"($0[$1 + 2]), \"=f\"($0[$1 + 3]) : "
            + FACTORS + ", \"f\"($6[0]), \"f\"($6[1]), \"f\"($6[2]), \"f\"($6[3]));", effect = true)
    public static void mmaFrom(float[] c, int at, int[] a, int aAt, int[] b, int bAt, float[] from) {
        Warp.current().product(c, at, a, aAt, b, bAt);
        for (int i = 0; i < 4; i++) {
            c[at + i] += from[i];
        }
    }

    /**
     * Four 8 x 8 blocks of float16 of local memory into fragment[at..at+3]. Lanes 8 m to 8 m + 7 name the rows of block m, 16 bytes
     * each, of which lane l gets the elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
     *
     * @param address of this lane's row: {@link #address} of {@code tile} and bytes from there
     */
    @CudaC(value = "asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.shared.b16" + LOAD4, effect = true)
    public static void load4(int[] fragment, int at, int[] tile, int address) {
        Warp.current().load4(fragment, at, tile, address, false);
    }

    /** The same with each block transposed. */
    @CudaC(value = "asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16" + LOAD4, effect = true)
    public static void load4Transposed(int[] fragment, int at, int[] tile, int address) {
        Warp.current().load4(fragment, at, tile, address, true);
    }

    /** Where a local array starts, as the operations want it. */
    @CudaC("$r = (int) __cvta_generic_to_shared($0);")
    public static int address(int[] tile) {
        return tile.length - tile.length;
    }

    /**
     * 8 float16 from {@code from} to local memory, in the background: there after {@link #await}, for other threads after a barrier.
     *
     * @param address {@link #address} of {@code tile} and bytes from there, a multiple of 16
     * @param element a multiple of 8
     */
    @CudaC(value = "asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16;\" :: \"r\"($1), \"l\"((char *) $2 + 16 + 2ll * $3)"
            + " : \"memory\");", effect = true, reads = 2)
    public static void copy16(int[] tile, int address, HalfFloatArray from, int element) {
        Warp.current().copy16(tile, address, from, element);
    }

    /** The same, from {@code ahead} elements behind {@code element}: where that is a constant, copies share an address. */
    @CudaC(value = "asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16;\" :: \"r\"($1), \"l\"((char *) $2 + 16 + 2ll * $3 + 2ll * $4)"
            + " : \"memory\");", effect = true, reads = 2)
    public static void copy16(int[] tile, int address, HalfFloatArray from, int element, int ahead) {
        Warp.current().copy16(tile, address, from, element + ahead);
    }

    /** 4 floats, from an element that is a multiple of 4; else as above. */
    @CudaC(value = "asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16;\" :: \"r\"($1), \"l\"((char *) $2 + 16 + 4ll * $3)"
            + " : \"memory\");", effect = true, reads = 2)
    public static void copy16(int[] tile, int address, FloatArray from, int element) {
        Warp.current().copy16(tile, address, from, element);
    }

    /** Four floats of local memory into to[at..at+3]; {@code address} is a multiple of 16. */
    @CudaC(value = "asm volatile(\"ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];\" : \"=f\"($0[$1]), \"=f\"($0[$1 + 1]), \"=f\"($0[$1 + 2]),"
            + " \"=f\"($0[$1 + 3]) : \"r\"($3) : \"memory\");", effect = true)
    public static void loadLocal4(float[] to, int at, int[] tile, int address) {
        for (int i = 0; i < 4; i++) {
            to[at + i] = Float.intBitsToFloat(tile[address / 4 + i]);
        }
    }

    /** Two floats to local memory; {@code address} is a multiple of 8. */
    @CudaC(value = "asm volatile(\"st.shared.v2.f32 [%0], {%1,%2};\" :: \"r\"($1), \"f\"($2), \"f\"($3) : \"memory\");", effect = true)
    public static void storeLocal2(int[] tile, int address, float first, float second) {
        tile[address / 4] = Float.floatToRawIntBits(first);
        tile[address / 4 + 1] = Float.floatToRawIntBits(second);
    }

    /** Four floats to local memory; {@code address} is a multiple of 16. */
    @CudaC(value = "asm volatile(\"st.shared.v4.f32 [%0], {%1,%2,%3,%4};\" :: \"r\"($1), \"f\"($2), \"f\"($3), \"f\"($4), \"f\"($5)"
            + " : \"memory\");", effect = true)
    public static void storeLocal4(int[] tile, int address, float first, float second, float third, float fourth) {
        storeLocal2(tile, address, first, second);
        storeLocal2(tile, address + 8, third, fourth);
    }

    /** The bits of two elements of local memory into to[at] and to[at+1]; {@code address} is a multiple of 8. */
    @CudaC(value = "asm volatile(\"ld.shared.v2.b32 {%0,%1}, [%2];\" : \"=r\"($0[$1]), \"=r\"($0[$1 + 1]) : \"r\"($3) : \"memory\");", effect = true)
    public static void loadLocalBits2(int[] to, int at, int[] tile, int address) {
        to[at] = tile[address / 4];
        to[at + 1] = tile[address / 4 + 1];
    }

    /** The bits of four elements of local memory into to[at..at+3]; {@code address} is a multiple of 16. */
    @CudaC(value = "asm volatile(\"ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];\" : \"=r\"($0[$1]), \"=r\"($0[$1 + 1]), \"=r\"($0[$1 + 2]),"
            + " \"=r\"($0[$1 + 3]) : \"r\"($3) : \"memory\");", effect = true)
    public static void loadLocalBits4(int[] to, int at, int[] tile, int address) {
        System.arraycopy(tile, address / 4, to, at, 4);
    }

    /** Four elements to local memory by their bits; {@code address} is a multiple of 16. */
    @CudaC(value = "asm volatile(\"st.shared.v4.b32 [%0], {%1,%2,%3,%4};\" :: \"r\"($1), \"r\"($2), \"r\"($3), \"r\"($4), \"r\"($5)"
            + " : \"memory\");", effect = true)
    public static void storeLocalBits4(int[] tile, int address, int first, int second, int third, int fourth) {
        tile[address / 4] = first;
        tile[address / 4 + 1] = second;
        tile[address / 4 + 2] = third;
        tile[address / 4 + 3] = fourth;
    }

    /** 32 bits to local memory; {@code address} is a multiple of 4. */
    @CudaC(value = "asm volatile(\"st.shared.b32 [%0], %1;\" :: \"r\"($1), \"r\"($2) : \"memory\");", effect = true)
    public static void storeLocal(int[] tile, int address, int bits) {
        tile[address / 4] = bits;
    }

    /** Ends a set of this thread's copies. */
    @CudaC(value = "asm volatile(\"cp.async.commit_group;\" ::: \"memory\");", effect = true)
    public static void commit() {
        Warp.current().commit();
    }

    /** Waits until no more than the last {@code pending} sets, a constant, are on their way. */
    @CudaC(value = "asm volatile(\"cp.async.wait_group $0;\" ::: \"memory\");", effect = true)
    public static void await(int pending) {
        Warp.current().await(pending);
    }

    /** to[at] and to[at+1] = two elements, the first of an even index. */
    @CudaC(value = "asm volatile(\"ld.global.v2.f32 {%0,%1}, [%2];\" : \"=f\"($0[$1]), \"=f\"($0[$1 + 1])"
            + " : \"l\"((char *) $2 + 16 + 4ll * $3) : \"memory\");", effect = true, reads = 2)
    public static void load2(float[] to, int at, FloatArray from, int element) {
        to[at] = from.get(element);
        to[at + 1] = from.get(element + 1);
    }

    /** Two elements, the first of an even index. */
    @CudaC(value = "asm volatile(\"st.global.v2.f32 [%0], {%1,%2};\" :: \"l\"((char *) $0 + 16 + 4ll * $1), \"f\"($2), \"f\"($3)"
            + " : \"memory\");", effect = true, writes = 0)
    public static void store2(FloatArray to, int element, float first, float second) {
        to.set(element, first);
        to.set(element + 1, second);
    }

    /** to[at], to[at+1], to[at+4] and to[at+5] = four elements, the first of an index that is a multiple of 4. */
    @CudaC(value = "asm volatile(\"ld.global.v4.f32 {%0,%1,%2,%3}, [%4];\" : \"=f\"($0[$1]), \"=f\"($0[$1 + 1]), \"=f\"($0[$1 + 4]),"
            + " \"=f\"($0[$1 + 5]) : \"l\"((char *) $2 + 16 + 4ll * $3) : \"memory\");", effect = true, reads = 2)
    public static void load4(float[] to, int at, FloatArray from, int element) {
        for (int i = 0; i < 4; i++) {
            to[at + 2 * (i & 2) + (i & 1)] = from.get(element + i);
        }
    }

    /** Four elements, the first of an index that is a multiple of 4. */
    @CudaC(value = "asm volatile(\"st.global.v4.f32 [%0], {%1,%2,%3,%4};\" :: \"l\"((char *) $0 + 16 + 4ll * $1), \"f\"($2), \"f\"($3), \"f\"($4),"
            + " \"f\"($5) : \"memory\");", effect = true, writes = 0)
    public static void store4(FloatArray to, int element, float first, float second, float third, float fourth) {
        to.set(element, first);
        to.set(element + 1, second);
        to.set(element + 2, third);
        to.set(element + 3, fourth);
    }

    /** 8 float16, two in each int, from an index that is a multiple of 8. */
    @CudaC(value = "asm volatile(\"st.global.v4.b32 [%0], {%1,%2,%3,%4};\" :: \"l\"((char *) $0 + 16 + 2ll * $1), \"r\"($2), \"r\"($3), \"r\"($4),"
            + " \"r\"($5) : \"memory\");", effect = true, writes = 0)
    public static void store16(HalfFloatArray to, int element, int first, int second, int third, int fourth) {
        int[] pairs = {first, second, third, fourth};
        for (int i = 0; i < 8; i++) {
            to.set(element + i, new HalfFloat((short) (pairs[i / 2] >>> 16 * (i % 2))));
        }
    }

    /** The bits of an element. */
    @CudaC(value = "asm volatile(\"ld.global.b32 %0, [%1];\" : \"=r\"($r) : \"l\"((char *) $0 + 16 + 4ll * $1) : \"memory\");",
            effect = true, reads = 0)
    public static int loadBits(FloatArray from, int element) {
        return from.getSegmentWithHeader().get(ValueLayout.JAVA_INT_UNALIGNED, TornadoNativeArray.ARRAY_HEADER + 4L * element);
    }

    /** An element by its bits. */
    @CudaC(value = "asm volatile(\"st.global.b32 [%0], %1;\" :: \"l\"((char *) $0 + 16 + 4ll * $1), \"r\"($2) : \"memory\");",
            effect = true, writes = 0)
    public static void storeBits(FloatArray to, int element, int bits) {
        to.getSegmentWithHeader().set(ValueLayout.JAVA_INT_UNALIGNED, TornadoNativeArray.ARRAY_HEADER + 4L * element, bits);
    }

    /** to[at], to[at+2], to[at+4] and to[at+6] = the bits of four elements, the first of an index that is a multiple of 4. */
    @CudaC(value = "asm volatile(\"ld.global.v4.b32 {%0,%1,%2,%3}, [%4];\" : \"=r\"($0[$1]), \"=r\"($0[$1 + 2]), \"=r\"($0[$1 + 4]),"
            + " \"=r\"($0[$1 + 6]) : \"l\"((char *) $2 + 16 + 4ll * $3) : \"memory\");", effect = true, reads = 2)
    public static void loadBits4(int[] to, int at, FloatArray from, int element) {
        for (int i = 0; i < 4; i++) {
            to[at + 2 * i] = loadBits(from, element + i);
        }
    }

    /** Four elements by their bits, the first of an index that is a multiple of 4. */
    @CudaC(value = "asm volatile(\"st.global.v4.b32 [%0], {%1,%2,%3,%4};\" :: \"l\"((char *) $0 + 16 + 4ll * $1), \"r\"($2), \"r\"($3), \"r\"($4),"
            + " \"r\"($5) : \"memory\");", effect = true, writes = 0)
    public static void storeBits4(FloatArray to, int element, int first, int second, int third, int fourth) {
        storeBits(to, element, first);
        storeBits(to, element + 1, second);
        storeBits(to, element + 2, third);
        storeBits(to, element + 3, fourth);
    }

    /** Two float16 from an even index. */
    @CudaC(value = "asm volatile(\"ld.global.b32 %0, [%1];\" : \"=r\"($r) : \"l\"((char *) $0 + 16 + 2ll * $1) : \"memory\");",
            effect = true, reads = 0)
    public static int loadPair(HalfFloatArray from, int element) {
        return from.get(element).getHalfFloatValue() & 0xffff | from.get(element + 1).getHalfFloatValue() << 16;
    }

    /** Two float16 to an even index. */
    @CudaC(value = "asm volatile(\"st.global.b32 [%0], %1;\" :: \"l\"((char *) $0 + 16 + 2ll * $1), \"r\"($2) : \"memory\");",
            effect = true, writes = 0)
    public static void storePair(HalfFloatArray to, int element, int pair) {
        to.set(element, new HalfFloat((short) pair));
        to.set(element + 1, new HalfFloat((short) (pair >>> 16)));
    }

    /**
     * The launch has so many threads a group, and a multiprocessor must hold so many groups: how many registers a thread may have
     * follows. Both constants.
     */
    @CudaC(value = "__launch_bounds__($0, $1)", effect = true, place = CudaC.Place.HEAD)
    public static void launchBounds(int threads, int groups) {
        Warp.current();
    }

    /** A local array starts at a multiple of so many bytes, a constant. */
    @CudaC(value = "__align__($1)", effect = true, place = CudaC.Place.DECLARATION)
    public static void align(int[] tile, int bytes) {
        Warp.current();
    }
}
