package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.MatrixForward;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.LongStream;

/** Checks a problem against a device before anything is compiled, since drivers fail late, silently or fatally. */
final class DeviceLimits {
    private DeviceLimits() {}

    /** The first kernel that suits the shape and fits the device. */
    static ForwardKernel choose(TornadoRuntimeDevices.Entry entry, AttentionShape shape, LlaOptions options) {
        options.requirePrecisionOf(entry.info());
        List<ForwardKernel> suited = Arrays.stream(ForwardKernel.values())
                .filter(kernel -> kernel.suits(entry.info(), shape, options)).toList();
        if (suited.isEmpty()) {
            throw new InvalidInputException(entry.info().name() + " takes " + shape + " with " + options.preconditioner()
                    + " preconditioning in float32 only: matrix units need head dims up to " + MatrixForward.MAX_DIM
                    + " and no preconditioner; leave the precision at float32.");
        }
        for (ForwardKernel kernel : suited) {
            if (fits(kernel.localBytes(shape), entry.info().localMemoryBytes())
                    && fits(kernel.groupThreads(shape), entry.maxGroupThreads())) {
                return kernel;
            }
        }
        ForwardKernel least = suited.stream().min(Comparator.comparingInt(kernel -> kernel.localBytes(shape))).orElseThrow();
        throw new InvalidInputException(entry.info().name() + " (" + entry.info().hardware() + ") cannot take " + shape
                + ": a work-group needs " + least.localBytes(shape) + " bytes of local memory and " + least.groupThreads(shape)
                + " threads, but the device has " + entry.info().localMemoryBytes() + " and "
                + entry.maxGroupThreads() + "; use a smaller head dim or another device.");
    }

    /** Device memory for all arrays, and the largest of them, before any is allocated. */
    static void requireMemory(TornadoRuntimeDevices.Entry entry, AttentionShape shape, boolean jacobi, long scratchFloats) {
        long solve = LlaBuffers.solveRows(shape, jacobi) * shape.headDim();
        long largest = LongStream.of(solve, elements(shape.keyDims()), elements(shape.valueDims()), elements(shape.outputDims()),
                scratchFloats).max().orElseThrow() * Float.BYTES;
        long need = shape.tensorBytes(Float.BYTES)
                + (shape.rows() + LlaBuffers.workspaceFloats(shape, jacobi) + scratchFloats) * Float.BYTES;
        long have = entry.info().memoryBytes();
        if (!fits(need, have)) {
            throw new DeviceException(entry.info().name() + " has " + have + " bytes of memory, but " + shape + " needs " + need
                    + "; use fewer heads or a shorter sequence.");
        }
        long maxAlloc = entry.device().getMaxAllocMemory();
        if (!fits(largest, maxAlloc)) {
            throw new DeviceException(entry.info().name() + " allocates at most " + maxAlloc + " bytes at once, but " + shape
                    + " needs an array of " + largest + "; use fewer heads or a shorter sequence.");
        }
    }

    /** TornadoVM's virtual devices tell no limits. */
    private static boolean fits(long need, long limit) {
        return limit <= 0 || need <= limit;
    }

    private static long elements(long[] dims) {
        return Arrays.stream(dims).reduce(1, Math::multiplyExact);
    }
}
