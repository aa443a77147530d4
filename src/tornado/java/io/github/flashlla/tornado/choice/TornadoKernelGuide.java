package io.github.flashlla.tornado.choice;

import com.google.auto.service.AutoService;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;

/** The choices of {@link KernelTable}. Needs no TornadoVM in its JVM: variants are data. */
@AutoService(KernelGuide.class)
public final class TornadoKernelGuide implements KernelGuide {

    @Override
    public boolean knows(DeviceInfo device) {
        return Backend.of(device.name()) != null;
    }

    @Override
    public List<Choice> choices(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        VariantDevice traits = VariantDevice.of(device);
        Optional<String> tooLarge = tooLarge(device, shape);
        return Arrays.stream(Pass.values()).flatMap(pass -> {
            List<KernelTable.Verdict> verdicts = KernelTable.verdicts(pass, traits, shape, options);
            return verdicts.stream().map(verdict -> new Choice(DeviceProfile.key(pass), verdict.variant().id(),
                    (pass == Pass.DECODE ? verdict.refusal().or(() -> leftToAnother(verdict, verdicts, shape, options))
                            : tooLarge.or(verdict::refusal)).orElse("")));
        }).toList();
    }

    /** Why a plan would not start a step with a variant that could take it. */
    private static Optional<String> leftToAnother(KernelTable.Verdict verdict, List<KernelTable.Verdict> all, AttentionShape shape,
            LlaOptions options) {
        Optional<DecodeVariant> leader = KernelTable.leader(all, shape);
        if (leader.isPresent() && ((DecodeVariant) verdict.variant()).method() == DecodeMethod.MATRIX_FREE) {
            return Optional.of(leader.get().id() + " is faster");
        }
        boolean another = all.stream().anyMatch(other -> other.refusal().isEmpty() && !mayLeaveUnsolved(other));
        return another && mayLeaveUnsolved(verdict)
                ? DecodeVariant.whyCovariance(options.ridge(), shape.keyLength(), shape.headDim()) : Optional.empty();
    }

    private static boolean mayLeaveUnsolved(KernelTable.Verdict verdict) {
        return ((DecodeVariant) verdict.variant()).mayLeaveUnsolved();
    }

    /** Why no kernel gets its q, k and v; a decoding step, of one query, takes less. */
    private static Optional<String> tooLarge(DeviceInfo device, AttentionShape shape) {
        long bytes = shape.tensorBytes(Float.BYTES);
        long most = (long) (device.memoryBytes() * DeviceProfile.of(device).memoryShare());
        return KernelVariant.unless(device.memoryBytes() < 0 || bytes <= most, "q, k, v and o take " + Numbers.bytes(bytes)
                        + ", and " + Numbers.bytes(most) + " may be used")
                .or(() -> KernelVariant.unless(LongStream.of(elements(shape.queryDims()), elements(shape.keyDims()), elements(shape.valueDims()),
                        elements(shape.outputDims())).max().orElse(0) <= Integer.MAX_VALUE - 64, "TornadoVM's arrays have fewer than 2^31 elements"));
    }

    private static long elements(long[] dims) {
        return LongStream.of(dims).reduce(1, (a, b) -> a * b);
    }
}
