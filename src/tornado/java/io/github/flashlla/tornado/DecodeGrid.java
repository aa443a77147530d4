package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.tornado.kernels.DecodeKernels;

/**
 * How a decoding step is cut into work-groups.
 *
 * @param headsPerGroup query heads of one work-group, a divisor of H / Hkv
 * @param splits work-groups that share a sequence
 * @param chunks work-groups that share the sums of A of one split
 * @param covarianceThreads threads of a covariance work-group
 * @param threads threads of every other work-group
 */
record DecodeGrid(int headsPerGroup, int splits, int chunks, int covarianceThreads, int threads) {

    /** Threads beyond this give a work-group no more speed, and large private arrays too few registers. */
    private static final int MOST_THREADS = 256;

    /** Fewer keys than this are not worth a split: merging costs as much. */
    private static final int SHORTEST_SPLIT = 256;

    private static final int LARGEST_LOCAL_SOLVE = 128;

    /**
     * @param groupsWanted work-groups that keep the device busy
     * @param mostThreads threads that a work-group may have
     * @param localBytes local memory that a work-group may have
     */
    static DecodeGrid of(String device, AttentionShape shape, int groupsWanted, int mostThreads, long localBytes) {
        if (shape.headDim() > LARGEST_LOCAL_SOLVE) {
            throw new InvalidInputException(device + ": decoding takes a head dim of at most " + LARGEST_LOCAL_SOLVE
                    + ", not " + shape.headDim() + "; the device jvm takes any");
        }
        int most = Math.min(mostThreads, MOST_THREADS);
        int tiles = tiles(shape.headDim());
        int heads = 1;
        for (int divisor = 2; divisor <= shape.group(); divisor++) {
            if (shape.group() % divisor == 0 && divisor * tiles <= most
                    && Math.max(covarianceBytes(shape, divisor), outputBytes(shape, divisor)) <= localBytes) {
                heads = divisor;
            }
        }
        long need = Math.max(Math.max(covarianceBytes(shape, heads), outputBytes(shape, heads)), solveBytes(shape));
        if (need > localBytes) {
            throw new InvalidInputException(device + ": decoding " + shape + " needs " + need
                    + " bytes of local memory in a work-group, but the device has " + localBytes);
        }
        int units = shape.batch() * shape.heads() / heads;
        int splits = Math.clamp(Math.ceilDiv(groupsWanted, units), 1,
                Math.max(1, shape.keyLength() / SHORTEST_SPLIT));
        int chunks = Math.ceilDiv(heads * tiles, most);
        int covarianceThreads = Math.min(most, Math.ceilDiv(Math.ceilDiv(heads * tiles, chunks), 32) * 32);
        return new DecodeGrid(heads, splits, Math.ceilDiv(heads * tiles, covarianceThreads), covarianceThreads,
                Math.min(most, 64));
    }

    /** Tiles of A's upper triangle. */
    static int tiles(int dim) {
        int strips = Math.ceilDiv(dim, DecodeKernels.STRIP);
        return strips * (strips + 1) / 2;
    }

    int units(AttentionShape shape) {
        return shape.batch() * shape.heads() / headsPerGroup;
    }

    private static long covarianceBytes(AttentionShape shape, int heads) {
        long dim = shape.headDim();
        long width = Math.ceilDiv(shape.headDim(), DecodeKernels.STRIP) * DecodeKernels.STRIP;
        return Float.BYTES * (DecodeKernels.TILE * (dim + 1) + heads * DecodeKernels.TILE * (width + 1)
                + 3 * heads * (dim + 1) + 32);
    }

    private static long outputBytes(AttentionShape shape, int heads) {
        long dim = shape.headDim();
        return Float.BYTES * (DecodeKernels.TILE * (dim + 1 + shape.valueDim()) + heads * (3 * dim + shape.valueDim())
                + 2L * heads * DecodeKernels.TILE + 32);
    }

    private static long solveBytes(AttentionShape shape) {
        long dim = shape.headDim();
        return Float.BYTES * (dim * (dim + 1) / 2 + 3 * dim);
    }
}
