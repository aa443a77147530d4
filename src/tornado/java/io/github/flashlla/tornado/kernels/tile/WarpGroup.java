package io.github.flashlla.tornado.kernels.tile;

/**
 * Operations of matrix units that four warps use together, {@code wgmma} of compute capability 9.0: threads 128 i to 128 i + 127 of a
 * work-group, all of which must get there.
 *
 * <p>They multiply A of 64 rows, of which warp w of the four has rows 16 w to 16 w + 15, in fragments as {@link Tile} has them: four registers a
 * lane of A, 16 columns, and four floats a lane for each 8 columns of the product. B is in local memory, in panels of 64 columns of float16:
 *
 * <pre>
 *   byte of row r, column c = c / 64 * panel + 128 r + ((c % 64 / 8) ^ (r % 8)) * 16 + c % 8 * 2
 * </pre>
 *
 * <p>where {@code panel} is a multiple of 1024 (128 times the rows, if these are a multiple of 8), and the first byte's address, too
 * ({@link Tile#align}).
 *
 * <p>Products go on in the background: {@link #publish} and a barrier behind what was written to local memory, {@link #fence} behind what was
 * written to registers, products, {@link #commit}, other work, {@link #await}, {@link #hold}. Until then nothing but further products may touch
 * the sums, and nothing may write what the products read in local memory.
 *
 * <p>{@link TileOperations#warpGroupsUnavailable} says whether a device has them.
 */
public final class WarpGroup {
    /** Of every kernel that uses them ({@link Architecture}). */
    public static final String ARCHITECTURE = "sm_90a";

    private static final String MULTIPLY = "asm volatile(\"{ .reg .pred p; setp.ne.b32 p, %[[$2/2+5]], 0; "
            + "wgmma.mma_async.sync.aligned.m64n$2k16.f32.f16.f16 {[[$2/2: %#]]}, "
            + "{%[[$2/2+0]],%[[$2/2+1]],%[[$2/2+2]],%[[$2/2+3]]}, %[[$2/2+4]], p, 1, 1, ";
    private static final String FACTORS = "; }\" : [[$2/2: \"+f\"($0[$1 + #])]] : \"r\"($3[$4]), \"r\"($3[$4 + 1]), \"r\"($3[$4 + 2]), \"r\"($3[$4 + 3])";
    /** Descriptor of a matrix in local memory: address / 16, 1024 / 16 from 8 rows to the next, chunks swizzled within 128 bytes. */
    private static final String MATRIX = ", \"l\"(64ull << 32 | 1ull << 62 | (unsigned long long) ((unsigned) $6 >> 4)";

    private WarpGroup() {}

    /** x of lane 0, which the compiler then knows to be the same for all lanes. */
    @CudaC(value = "$r = __shfl_sync(0xffffffffu, $0, 0);", effect = true)
    public static int uniform(int x) {
        return x;
    }

    /**
     * a[at] as it is, but no compiler knows. For factors in registers that stay the same in a loop: ptxas 13.0 copies such to neighbouring registers
     * in front of the loop, and lets other factors overwrite the copies within it.
     *
     * @param zero 0, {@linkplain Tile#opaque(int) opaque}
     */
    @CudaC(value = "asm volatile(\"xor.b32 %0, %0, %1;\" : \"+r\"($0[$1]) : \"r\"($2));", effect = true)
    public static void renew(int[] a, int at, int zero) {
        a[at] ^= zero;
    }

    /** Products that come see the registers as they are. */
    @CudaC(value = "asm volatile(\"wgmma.fence.sync.aligned;\" ::: \"memory\");", effect = true)
    public static void fence() {
        Warp.current();
    }

    /** Products behind the next barrier see what this thread wrote to local memory, copies that it has awaited included. */
    @CudaC(value = "asm volatile(\"fence.proxy.async.shared::cta;\" ::: \"memory\");", effect = true)
    public static void publish() {
        Warp.current();
    }

    /** Ends a set of products. */
    @CudaC(value = "asm volatile(\"wgmma.commit_group.sync.aligned;\" ::: \"memory\");", effect = true)
    public static void commit() {
        Warp.current().commitProducts();
    }

    /** Waits until no more than the last {@code pending} sets, a constant, go on. */
    @CudaC(value = "asm volatile(\"wgmma.wait_group.sync.aligned $0;\" ::: \"memory\");", effect = true)
    public static void await(int pending) {
        Warp.current().awaitProducts(pending);
    }

    /**
     * Nothing that has to do with so many sums, a constant, goes from behind this to the front of it, or the other way: behind {@link #await},
     * and before {@link #fence} where sums are set.
     */
    @CudaC(value = "asm volatile(\"\" : [[$2: \"+f\"($0[$1 + #])]] :: \"memory\");", effect = true)
    public static void hold(float[] sums, int at, int count) {
        Warp.current();
    }

    /**
     * c[at..] += A B, with A in a[aAt..aAt+3], and B's columns the rows of {@code tile}: scores, where its rows are keys.
     *
     * @param columns of B, a multiple of 8 and a constant; half as many floats of c
     * @param address of the first of 16 columns of the first row: 32 bytes to the next 16 of its panel
     * @param add 0 for c[at..] = A B, else 1
     */
    @CudaC(value = MULTIPLY + "0" + FACTORS + MATRIX + "), \"r\"($7));", effect = true)
    public static void multiply(float[] c, int at, int columns, int[] a, int aAt, int[] tile, int address, int add) {
        Warp.current().multiply(c, at, columns, a, aAt, rowsAsColumns(tile, address), add != 0);
    }

    /**
     * c[at..] += A B, with A in a[aAt..aAt+3], and B's rows those of {@code tile}: weighted sums of keys or values.
     *
     * @param columns of B, a multiple of 8 and a constant; half as many floats of c
     * @param address of the first of 16 rows: 2048 bytes to the next 16
     * @param panel bytes from one panel of 64 columns to the next
     * @param add 0 for c[at..] = A B, else 1
     */
    @CudaC(value = MULTIPLY + "1" + FACTORS + MATRIX + " | (unsigned long long) ((unsigned) $7 >> 4) << 16), \"r\"($8));", effect = true)
    public static void multiplyRows(float[] c, int at, int columns, int[] a, int aAt, int[] tile, int address, int panel, int add) {
        Warp.current().multiply(c, at, columns, a, aAt, (int row, int column) -> half(tile, address,
                column / 64 * panel + row * 128 + column % 64 * 2), add != 0);
    }

    /**
     * The same as {@link #multiply} with A in local memory, too, in the same layout.
     *
     * @param rowsAddress of the first of 16 columns of the first of 64 rows
     */
    @CudaC(value = "asm volatile(\"{ .reg .pred p; setp.ne.b32 p, %[[$2/2+2]], 0; wgmma.mma_async.sync.aligned.m64n$2k16.f32.f16.f16 {[[$2/2: %#]]}, "
            + "%[[$2/2+0]], %[[$2/2+1]], p, 1, 1, 0, 0; }\" : [[$2/2: \"+f\"($0[$1 + #])]] : "
            + "\"l\"(64ull << 32 | 1ull << 62 | (unsigned long long) ((unsigned) $4 >> 4))" + MATRIX + "), \"r\"($7));", effect = true)
    public static void multiplyLocal(float[] c, int at, int columns, int[] rows, int rowsAddress, int[] tile, int address, int add) {
        Warp.Matrix a = rowsAsColumns(rows, rowsAddress);
        Warp.current().multiply(c, at, columns, (int row, int column) -> a.at(column, row), rowsAsColumns(tile, address), add != 0);
    }

    private static Warp.Matrix rowsAsColumns(int[] tile, int address) {
        return (int row, int column) -> half(tile, address, column * 128 + row * 2);
    }

    /** What matrix units find so many bytes behind an address: they swizzle the address itself. */
    private static float half(int[] tile, int address, int behind) {
        if ((address & 0x38f) != 0) {
            throw new IllegalArgumentException("address " + address + " is not of a multiple of 8 rows and columns");
        }
        int plain = address + behind;
        int at = plain ^ plain >> 3 & 0x70;
        return Float.float16ToFloat((short) (tile[at / 4] >>> 16 * (at / 2 % 2)));
    }
}
