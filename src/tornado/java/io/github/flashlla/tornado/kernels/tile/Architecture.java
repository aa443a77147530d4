package io.github.flashlla.tornado.kernels.tile;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * What a kernel's CUDA C is compiled for, in place of what TornadoVM compiles for: an architecture that the device's own differs from in name alone,
 * such as {@link WarpGroup#ARCHITECTURE}. Only plans that share their kernels do so. At a number among a kernel's parameters it counts where the argument is
 * not 0.
 */
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.METHOD, ElementType.PARAMETER})
public @interface Architecture {
    /** As NVRTC takes it. */
    String value();
}
