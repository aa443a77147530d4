package io.github.flashlla;

import java.util.List;

/** Makes one device of several; found by {@link java.util.ServiceLoader}. */
public interface DeviceCombiner {

    /** What joins the names of the parts in the name of the whole, as in {@code cuda:0+cuda:1}. */
    String JOINER = "+";

    /**
     * What is known of the whole without opening it.
     *
     * @param parts two at least; a device may be there twice
     */
    DeviceInfo combine(List<DeviceInfo> parts);

    /**
     * Opens the whole.
     *
     * @throws DeviceException if a part fails to open
     */
    Device open(List<DeviceInfo> parts);
}
