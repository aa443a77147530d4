package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;

/** Checks a problem against a device before anything is compiled, since drivers fail late, silently or fatally. */
public final class DeviceLimits {
    private DeviceLimits() {}

    /**
     * The first kernel of the device's profile that suits the shape and fits the device.
     *
     * @throws InvalidInputException if none does, with what is needed and what there is
     */
    public static ForwardKernel choose(BackendDevice entry, AttentionShape shape, LlaOptions options) {
        options.requirePrecisionOf(entry.info());
        return choose(entry.info(), entry.maxGroupThreads(), DeviceProfile.of(entry.info()), shape, options);
    }

    public static ForwardKernel choose(DeviceInfo device, int maxGroupThreads, DeviceProfile profile, AttentionShape shape,
            LlaOptions options) {
        GroupLimits limits = GroupLimits.of(device, profile, maxGroupThreads);
        List<ForwardKernel> suited = profile.forwardKernels().stream().map(ForwardKernel::of)
                .filter(kernel -> kernel.suits(device, shape, options)).toList();
        return limits.first(suited, shape).orElseThrow(() -> {
            String why = suited.isEmpty() ? "of the kernels that its profile names, " + profile.forwardKernels()
                    + ", none is written for " + options.precision() + " with " + options.preconditioner()
                    + " preconditioning at these head dims" : limits.refusal(suited, shape);
            return new InvalidInputException(device.name() + " (" + device.hardware() + ") cannot take " + shape + ": " + why
                    + "; use a smaller head dim, another device, or another profile in tornado-config.");
        });
    }

    /** The first backward kernel that suits the shape and fits the device. */
    public static BackwardKernel chooseBackward(BackendDevice entry, AttentionShape shape, LlaOptions options) {
        DeviceInfo device = entry.info();
        GroupLimits limits = GroupLimits.of(device, DeviceProfile.of(device), entry.maxGroupThreads());
        List<BackwardKernel> suited = Arrays.stream(BackwardKernel.values())
                .filter(kernel -> kernel.suits(device, shape, options)).toList();
        return limits.first(suited, shape).orElseThrow(() -> new InvalidInputException(device.name() + " (" + device.hardware()
                + ") cannot take the backward pass of " + shape + ": " + limits.refusal(suited, shape)
                + "; use a smaller head dim or another device."));
    }

    /**
     * What a device gives one work-group.
     *
     * @param localBytes of local memory; at most 0 if the device does not tell
     */
    private record GroupLimits(long localBytes, int threads) {

        static GroupLimits of(DeviceInfo device, DeviceProfile profile, int threads) {
            long deviceBytes = device.localMemoryBytes();
            return new GroupLimits(profile.localMemoryBytes()
                    .map(most -> deviceBytes > 0 ? Math.min(most, deviceBytes) : most).orElse(deviceBytes), threads);
        }

        <K extends GroupNeeds> Optional<K> first(List<K> kernels, AttentionShape shape) {
            return kernels.stream().filter(kernel -> fits(kernel.localBytes(shape), localBytes)
                    && fits(kernel.groupThreads(shape), threads)).findFirst();
        }

        /** Why the least demanding of them does not fit. */
        String refusal(List<? extends GroupNeeds> kernels, AttentionShape shape) {
            GroupNeeds least = kernels.stream().min(Comparator.comparingInt(kernel -> kernel.localBytes(shape))).orElseThrow();
            return "a work-group needs " + least.localBytes(shape) + " bytes of local memory and " + least.groupThreads(shape)
                    + " threads, but the device has " + localBytes + " and " + threads;
        }
    }

    /** Bytes of device memory that a backward pass needs beside its forward pass: g, the gradients and work arrays. */
    public static long backwardMemoryBytes(AttentionShape shape, BackwardBuffers buffers) {
        return shape.tensorBytes(Float.BYTES) + shape.rows() * Float.BYTES + buffers.workspaceBytes();
    }

    /** Bytes of device memory that a forward pass needs, all arrays together. */
    public static long memoryBytes(AttentionShape shape, boolean jacobi, long scratchFloats) {
        return shape.tensorBytes(Float.BYTES)
                + (shape.rows() + LlaBuffers.workspaceFloats(shape, jacobi) + scratchFloats) * Float.BYTES;
    }

    /** The largest array, before any is allocated: a device may take less at once than it has. */
    public static void requireLargest(BackendDevice entry, AttentionShape shape, boolean jacobi, long scratchFloats) {
        long solve = LlaBuffers.solveRows(shape, jacobi) * shape.headDim();
        long largest = LongStream.of(solve, elements(shape.keyDims()), elements(shape.valueDims()), elements(shape.outputDims()),
                scratchFloats).max().orElseThrow() * Float.BYTES;
        long maxAlloc = entry.device().getMaxAllocMemory();
        if (!fits(largest, maxAlloc)) {
            throw new DeviceException(entry.info().name() + " allocates at most " + Numbers.bytes(maxAlloc) + " at once, but " + shape
                    + " needs an array of " + Numbers.bytes(largest) + "; use fewer heads or a shorter sequence.");
        }
    }

    /** TornadoVM's virtual devices tell no limits. */
    private static boolean fits(long need, long limit) {
        return limit <= 0 || need <= limit;
    }

    static long elements(long[] dims) {
        return Arrays.stream(dims).reduce(1, Math::multiplyExact);
    }
}
