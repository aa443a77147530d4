package io.github.flashlla.tornado.choice;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.Arrangement;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.backward.CpuBackwardVariant;
import io.github.flashlla.tornado.kernels.backward.LocalTilesBackwardVariant;
import io.github.flashlla.tornado.kernels.backward.SplitBackwardVariant;
import io.github.flashlla.tornado.kernels.backward.TileBackwardVariant;
import io.github.flashlla.tornado.kernels.decode.CgDecodeVariant;
import io.github.flashlla.tornado.kernels.decode.CovarianceDecodeVariant;
import io.github.flashlla.tornado.kernels.decode.TileCovarianceVariant;
import io.github.flashlla.tornado.kernels.decode.TilePcgVariant;
import io.github.flashlla.tornado.kernels.forward.CpuForwardVariant;
import io.github.flashlla.tornado.kernels.forward.GpuForwardVariant;
import io.github.flashlla.tornado.kernels.forward.ParallelForwardVariant;
import io.github.flashlla.tornado.kernels.forward.SplitForwardVariant;
import io.github.flashlla.tornado.kernels.forward.TensorCoreForwardVariant;
import io.github.flashlla.tornado.kernels.forward.TileForwardVariant;
import io.github.flashlla.tornado.kernels.softmax.CpuSoftmaxVariant;
import io.github.flashlla.tornado.kernels.softmax.GpuSoftmaxVariant;
import io.github.flashlla.tornado.kernels.softmax.ParallelSoftmaxVariant;
import io.github.flashlla.tornado.kernels.softmax.TileSoftmaxVariant;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** Every kernel variant, and the choice among those of a pass: the first of the device's profile that suits and fits. */
public final class KernelTable {
    private static final List<KernelVariant> VARIANTS = List.of(
            TileForwardVariant.WARP_GROUP, TileForwardVariant.TILE, new TensorCoreForwardVariant(), new SplitForwardVariant(), new CpuForwardVariant(),
            new GpuForwardVariant(), new ParallelForwardVariant(),
            TileBackwardVariant.WARP_GROUP, TileBackwardVariant.TILE, new SplitBackwardVariant(), new CpuBackwardVariant(), new LocalTilesBackwardVariant(),
            new TilePcgVariant(), CgDecodeVariant.TILE_CG, CgDecodeVariant.MATRIX_CG, CgDecodeVariant.CG, new TileCovarianceVariant(),
            new CovarianceDecodeVariant(),
            new TileSoftmaxVariant(), new CpuSoftmaxVariant(), new GpuSoftmaxVariant(), new ParallelSoftmaxVariant());

    /**
     * A variant and whether it can run.
     *
     * @param refusal why it cannot; empty where it can
     */
    public record Verdict(KernelVariant variant, Optional<String> refusal) {}

    private static final String NO_SPANS = "its float16 kernels take no window and no packed sequences";
    /** What descriptions add where float16 was asked for and float32 is computed in. */
    public static final String IN_FLOAT32 = " Products are in float32: " + NO_SPANS + ".";

    /** Head dims are multiples of it, in models and in kernels that do not take all. */
    private static final int DIM_STEP = 16;

    /** Devices of this process that {@link #computed} has written its note of: a layer stack makes many plans. */
    private static final Set<String> NOTED = ConcurrentHashMap.newKeySet();

    private KernelTable() {}

    /** The variants of a pass that the device's profile names, in its order. */
    public static List<Verdict> verdicts(Pass pass, VariantDevice device, AttentionShape shape, LlaOptions options) {
        return verdicts(pass, device, shape, options, Arrangement.USUAL);
    }

    private static List<Verdict> verdicts(Pass pass, VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return DeviceProfile.of(device.info()).kernels(pass).stream().map(name -> of(device.info(), pass, name))
                .map(variant -> new Verdict(variant, variant.refusal(device, shape, options, arranged))).toList();
    }

    /**
     * The forward variant for a problem.
     *
     * @throws InvalidInputException if none takes it, with the reason of each
     */
    public static ForwardVariant forward(VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return (ForwardVariant) noted(DeviceProfile.forcedKernel().isEmpty(), Pass.FORWARD, "the forward pass", device, shape, options, arranged);
    }

    /** Whether there are kernels for a problem's forward pass, and for its backward pass where the options keep what that needs. */
    public static boolean takes(VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return takes(Pass.FORWARD, device, shape, options, arranged)
                && (!options.keepState() || takes(Pass.BACKWARD, device, shape, options, arranged));
    }

    private static boolean takes(Pass pass, VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return verdicts(pass, device, shape, options, arranged).stream().anyMatch(verdict -> verdict.refusal().isEmpty());
    }

    /**
     * The options that a problem is computed with: in float32 where float16 is asked for and its kernels take no window and no packed
     * sequences, which a note on standard error says of a device's first such problem; descriptions say it of each.
     */
    public static LlaOptions computed(VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        LlaOptions single = options.withPrecision(DataType.FLOAT32);
        if (options.precision() != DataType.FLOAT16 || options.window() == 0 && !arranged.sequences() || takes(device, shape, options, arranged)
                || !takes(device, shape, single, arranged)) {
            return options;
        }
        if (NOTED.add(device.info().name())) {
            System.err.println("note: " + device.info().name() + " computes " + shape + " in float32: " + NO_SPANS
                    + ". Later ones of this kind are computed so without a note.");
        }
        return single;
    }

    /**
     * The variant of softmax attention for a problem.
     *
     * @throws InvalidInputException if none takes it, with the reason of each
     */
    public static SoftmaxVariant softmax(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return (SoftmaxVariant) noted(true, Pass.SOFTMAX, "softmax attention", device, shape, options, Arrangement.USUAL);
    }

    /** The first, with a note where it is the last resort. */
    private static KernelVariant noted(boolean notes, Pass pass, String what, VariantDevice device, AttentionShape shape, LlaOptions options,
            Arrangement arranged) {
        KernelVariant chosen = first(pass, what, device, shape, options, arranged);
        if (chosen.isLastResort() && notes) {
            System.err.println("note: " + device.info().name() + " computes " + what + " of " + shape + " with the slow kernel '" + chosen.id()
                    + "', since no tuned one takes it: " + reasons(verdicts(pass, device, shape, options, arranged).stream()
                            .filter(verdict -> verdict.refusal().isPresent()).toList()) + ".");
        }
        return chosen;
    }

    /** The backward variant for a problem. */
    public static BackwardVariant backward(VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return (BackwardVariant) first(Pass.BACKWARD, "the backward pass", device, shape, options, arranged);
    }

    /**
     * The variants that a decode plan may use, each for what those before it leave unsolved: the matrix-free one, unless another leads, then
     * covariance forms to the first that solves all.
     *
     * @param method AUTO where the choice is the plan's
     * @param stored type of the cache's elements on the device
     */
    public static List<DecodeVariant> decode(DecodeMethod method, VariantDevice device, AttentionShape shape, LlaOptions options,
            DataType stored) {
        LlaOptions cached = options.withPrecision(stored);
        List<Verdict> verdicts = verdicts(Pass.DECODE, device, shape, cached);
        List<DecodeVariant> chosen = new ArrayList<>();
        boolean led = method == DecodeMethod.AUTO && leader(verdicts, shape).isPresent();
        for (DecodeMethod wanted : List.of(DecodeMethod.MATRIX_FREE, DecodeMethod.COVARIANCE)) {
            if (method == wanted || method == DecodeMethod.AUTO && !(led && wanted == DecodeMethod.MATRIX_FREE)) {
                List<DecodeVariant> suited = verdicts.stream().filter(verdict -> verdict.refusal().isEmpty())
                        .map(verdict -> (DecodeVariant) verdict.variant()).filter(variant -> variant.method() == wanted).toList();
                suited.stream().limit(1).forEach(chosen::add);
                if (wanted == DecodeMethod.COVARIANCE && suited.stream().limit(1).anyMatch(DecodeVariant::mayLeaveUnsolved)) {
                    suited.stream().filter(variant -> !variant.mayLeaveUnsolved()).findFirst().ifPresent(chosen::add);
                }
            }
        }
        if (chosen.isEmpty()) {
            throw new InvalidInputException(device.info().name() + ": decoding " + shape + " by " + method + " is not possible: "
                    + reasons(verdicts.stream().filter(verdict -> method == DecodeMethod.AUTO
                            || ((DecodeVariant) verdict.variant()).method() == method).toList())
                    + "; use another method, or " + DeviceProfile.otherOrder(device.info(), Pass.DECODE) + ".");
        }
        return chosen;
    }

    /** The variant that plans decode such shapes with from the start, if one of those that can run {@link DecodeVariant#leads}. */
    static Optional<DecodeVariant> leader(List<Verdict> verdicts, AttentionShape shape) {
        return verdicts.stream().filter(verdict -> verdict.refusal().isEmpty()).map(verdict -> (DecodeVariant) verdict.variant())
                .filter(variant -> variant.leads(shape)).findFirst();
    }

    private static KernelVariant first(Pass pass, String what, VariantDevice device, AttentionShape shape, LlaOptions options,
            Arrangement arranged) {
        List<Verdict> verdicts = verdicts(pass, device, shape, options, arranged);
        return verdicts.stream().filter(verdict -> verdict.refusal().isEmpty()).findFirst().map(Verdict::variant)
                .orElseThrow(() -> new InvalidInputException(device.info().name() + " (" + device.info().hardware()
                        + ") cannot take " + what + " of " + shape + ": " + reasons(verdicts)
                        + "; use " + smallerDim(pass, device, shape, options, arranged) + "another device, or "
                        + DeviceProfile.otherOrder(device.info(), pass) + "."));
    }

    /** Names the largest head dim below the shape's that a kernel takes, so that none is asked for in vain; "" where none helps. */
    private static String smallerDim(Pass pass, VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        for (int dim = (Math.max(shape.headDim(), shape.valueDim()) - 1) / DIM_STEP * DIM_STEP; dim > 0; dim -= DIM_STEP) {
            AttentionShape smaller = new AttentionShape(shape.batch(), shape.heads(), shape.kvHeads(), shape.queryLength(), shape.keyLength(),
                    Math.min(dim, shape.headDim()), Math.min(dim, shape.valueDim()));
            if (takes(pass, device, smaller, options, arranged)) {
                return "a smaller head dim, such as " + dim + ", ";
            }
        }
        return "";
    }

    private static String reasons(List<Verdict> verdicts) {
        return verdicts.stream().map(verdict -> verdict.variant().id() + ": " + verdict.refusal().orElse("it can"))
                .collect(Collectors.joining("; "));
    }

    private static KernelVariant of(DeviceInfo device, Pass pass, String name) {
        List<KernelVariant> variants = VARIANTS.stream().filter(variant -> variant.pass() == pass).toList();
        return variants.stream().filter(variant -> variant.id().equals(name)).findFirst()
                .orElseThrow(() -> new InvalidInputException(DeviceProfile.namedIn(device, pass, name) + " names the " + DeviceProfile.key(pass)
                        + " kernel '" + name + "'; there are " + String.join(", ", variants.stream().map(KernelVariant::id).toList()) + "."));
    }
}
