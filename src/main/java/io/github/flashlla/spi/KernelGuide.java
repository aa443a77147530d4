package io.github.flashlla.spi;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import java.util.List;

/** Tells which kernels a kind of device would run for a problem, and why not the others; found with a {@code ServiceLoader}. */
public interface KernelGuide {

    /** Whether it knows the device's backend. */
    boolean knows(DeviceInfo device);

    /** Every kernel of every pass in the order of choice. The device need not be here. */
    List<Choice> choices(DeviceInfo device, AttentionShape shape, LlaOptions options);

    /**
     * A kernel and whether it can run.
     *
     * @param pass such as {@code forward}
     * @param refusal why it cannot; empty where it can. The first of a pass that can is the one that runs
     */
    record Choice(String pass, String kernel, String refusal) {}
}
