package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.device.WorkGroupLimits;
import io.github.flashlla.tornado.kernels.VariantDevice;

/**
 * How a decoding step is cut into work-groups.
 *
 * @param headsPerGroup query heads of one work-group, a divisor of H / Hkv
 * @param splits work-groups that share a sequence
 * @param chunks work-groups that share the sums of A of one split
 * @param covarianceThreads threads of a covariance work-group
 * @param threads threads of every other work-group
 * @param localSolve whether the solve keeps A in local memory
 */
public record DecodeGrid(int headsPerGroup, int splits, int chunks, int covarianceThreads, int threads,
        boolean localSolve) {

    /** Threads beyond this give a work-group no more speed, and large private arrays too few registers. */
    private static final int MOST_THREADS = 256;

    private static final int GROUPS_PER_CORE = 4;

    private static final int GROUPS_PER_GPU_UNIT = 8;

    /** What virtual devices, which tell no limits, are taken to have. */
    private static final long UNKNOWN_LOCAL_BYTES = 48 << 10;

    /** What GPUs have; a CPU, whose local memory is memory like any other, gains nothing from using more. */
    private static final long LOCAL_SOLVE_BYTES = 48 << 10;

    /** Fewer keys than this are not worth a split: merging costs as much. */
    private static final int SHORTEST_SPLIT = 256;

    /** TornadoVM's PTX backend changes the size of work-groups that use many registers, unless they are small. */
    private static final int MOST_PTX_THREADS = 64;

    /**
     * Sizes for a step that keep the device busy, and fit its work-groups where those of one head do.
     *
     * @param window tokens that a query sees; 0 for all
     */
    static DecodeGrid of(VariantDevice traits, AttentionShape shape, int window) {
        DeviceInfo device = traits.info();
        WorkGroupLimits limits = traits.limits();
        int computeUnits = traits.computeUnits();
        int groupsWanted = computeUnits * (device.type() == DeviceInfo.Type.CPU ? GROUPS_PER_CORE : GROUPS_PER_GPU_UNIT);
        int most = device.backend().equals("ptx") ? MOST_PTX_THREADS : MOST_THREADS;
        most = limits.threads() > 0 ? Math.min(most, limits.threads()) : most;
        long localBytes = limits.localBytes() > 0 ? limits.localBytes() : UNKNOWN_LOCAL_BYTES;
        int tiles = tiles(shape.headDim());
        int heads = 1;
        for (int divisor = 2; divisor <= shape.group(); divisor++) {
            if (shape.group() % divisor == 0 && divisor * tiles <= most
                    && Math.max(covarianceBytes(shape, divisor), outputBytes(shape, divisor)) <= localBytes) {
                heads = divisor;
            }
        }
        int units = shape.batch() * shape.heads() / heads;
        int splits = Math.clamp(Math.ceilDiv(groupsWanted, units), 1,
                Math.max(1, (window == 0 ? shape.keyLength() : Math.min(window, shape.keyLength())) / SHORTEST_SPLIT));
        boolean localSolve = solveBytes(shape) <= Math.min(localBytes, LOCAL_SOLVE_BYTES);
        int chunks = Math.ceilDiv(heads * tiles, most);
        int covarianceThreads = Math.min(most, Math.ceilDiv(Math.ceilDiv(heads * tiles, chunks), 32) * 32);
        return new DecodeGrid(heads, splits, Math.ceilDiv(heads * tiles, covarianceThreads), covarianceThreads,
                Math.min(most, 64), localSolve);
    }

    /** What the largest of its work-groups takes. */
    WorkGroupDemand demand(AttentionShape shape) {
        return new WorkGroupDemand(Math.max(threads, covarianceThreads), Math.max(4L * shape.headDim() * Float.BYTES,
                Math.max(covarianceBytes(shape, headsPerGroup), outputBytes(shape, headsPerGroup))));
    }

    /** Tiles of A's upper triangle. */
    static int tiles(int dim) {
        int strips = Math.ceilDiv(dim, CovarianceDecode.STRIP);
        return strips * (strips + 1) / 2;
    }

    /** Elements of the largest work array: the sums of A of every split, or A of every head. */
    long largestFloats(AttentionShape shape) {
        long rows = (long) shape.batch() * shape.heads();
        return rows * Math.max((long) splits * tiles(shape.headDim()) * CovarianceDecode.STRIP * CovarianceDecode.STRIP,
                (long) shape.headDim() * shape.headDim());
    }

    int units(AttentionShape shape) {
        return shape.batch() * shape.heads() / headsPerGroup;
    }

    private static long covarianceBytes(AttentionShape shape, int heads) {
        long stride = Math.ceilDiv(shape.headDim(), CovarianceDecode.STRIP) * CovarianceDecode.STRIP + 1;
        return Float.BYTES * (CovarianceDecode.TILE * stride + heads * (2 * stride + CovarianceDecode.TILE + 2));
    }

    private static long outputBytes(AttentionShape shape, int heads) {
        long dim = shape.headDim();
        return Float.BYTES * (CovarianceDecode.TILE * (dim + 1 + shape.valueDim()) + heads * (3 * dim + shape.valueDim())
                + 2L * heads * CovarianceDecode.TILE);
    }

    private static long solveBytes(AttentionShape shape) {
        long dim = shape.headDim();
        return Float.BYTES * (dim * (dim + 1) / 2 + 3 * dim);
    }
}
