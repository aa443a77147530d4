package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornadovm.Pass;
import java.util.Optional;

/**
 * One way to compute a pass on a device, as data: what it is written for, what a work-group needs, and, in the interface of its
 * pass, which buffers it wants and which tasks it adds. A device's profile in tornado-config orders the variants by name; the
 * first that suits and fits is taken.
 */
public interface KernelVariant {

    /** As a device's profile names it. */
    String id();

    Pass pass();

    /** Whether it is slow, and there only for problems and devices that no tuned variant takes. */
    default boolean isLastResort() {
        return false;
    }

    /** Why it is not written for such a device and problem; empty where it is. */
    Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** Whether it takes the keys that a query sees from memory, as a window and packed sequences need it. */
    default boolean takesSpans() {
        return false;
    }

    /** Whether q, k, v, o and gradients may lie in their arrays in other than row-major order. */
    default boolean takesStrides() {
        return false;
    }

    /** What a work-group takes, where the variant suits. */
    WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options);

    /** Why the variant cannot run, in one sentence without a full stop; empty where it can. */
    default Optional<String> refusal(VariantDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged) {
        return unsuited(device, shape, options).or(() -> unless(options.window() == 0 || takesSpans(), "it has no window"))
                .or(() -> unless(!arranged.sequences() || takesSpans(), "it takes no packed sequences"))
                .or(() -> unless(!arranged.strides() || takesStrides(), "it takes row-major tensors only"))
                .or(() -> unless(!arranged.strides() || !device.info().backend().equals("spirv"),
                        "TornadoVM's SPIR-V for tensors with strides is not valid"))
                .or(() -> device.limits().refusal(demand(device, shape, options)));
    }

    /** Why a work array of so many elements cannot be: TornadoVM's arrays are counted by an int and begin with a header. */
    static Optional<String> unlessTooLarge(long elements) {
        return unless(elements <= Integer.MAX_VALUE - 64, "its work array would have more than 2^31 elements");
    }

    /** {@code reason}, where there is one. */
    static Optional<String> unless(boolean suits, String reason) {
        return suits ? Optional.empty() : Optional.of(reason);
    }
}
