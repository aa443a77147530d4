package io.github.flashlla;

import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * What is known of a device without running anything on it.
 *
 * @param name name to open it by, such as {@code jvm}, {@code reference} or {@code opencl:0}
 * @param backend what it runs through: {@code jvm}, {@code reference}, {@code opencl}, {@code ptx}, {@code spirv}, {@code cuda}
 * @param type kind of hardware
 * @param hardware the hardware's own name
 * @param vendor vendor or platform
 * @param driver driver or runtime with its version
 * @param memoryBytes memory that the device can use, or -1
 * @param localMemoryBytes work-group local memory, or -1
 * @param computeUnits cores or multiprocessors, or -1
 * @param precisions element types that it computes products of
 * @param traits what sets it apart, so that nobody needs to compare names
 */
public record DeviceInfo(
        String name,
        String backend,
        Type type,
        String hardware,
        String vendor,
        String driver,
        long memoryBytes,
        long localMemoryBytes,
        int computeUnits,
        List<DataType> precisions,
        Set<Trait> traits) {

    public DeviceInfo {
        traits = traits == null ? Set.of() : Set.copyOf(traits);
    }

    /** A device with these traits. */
    public DeviceInfo(String name, String backend, Type type, String hardware, String vendor, String driver, long memoryBytes,
            long localMemoryBytes, int computeUnits, List<DataType> precisions, Trait... traits) {
        this(name, backend, type, hardware, vendor, driver, memoryBytes, localMemoryBytes, computeUnits, precisions,
                Set.of(traits));
    }

    /** Whether it has this trait. */
    public boolean has(Trait trait) {
        return traits.contains(trait);
    }

    /** Whether a selector names it: its name, its backend, or a group. {@code all} and its types, {@code cpu} and {@code gpu}, leave out the reference. */
    public boolean matches(String selector) {
        boolean group = selector.equals("all") || selector.equals(type.name().toLowerCase(Locale.ROOT));
        return selector.equals(name) || selector.equals(backend) || group && !has(Trait.EXACT);
    }

    /** Kind of hardware, as its driver says; ACCELERATOR for what is neither. */
    public enum Type {
        CPU, GPU, ACCELERATOR
    }

    /** What sets a device apart from an accelerator that compiles kernels and computes in its own memory. */
    public enum Trait {
        /** Computes on this JVM's threads, with its data on this JVM's heap. */
        ON_HEAP,
        /** Computes in float64, as the oracle of others: slow, and in no group of devices. */
        EXACT,
        /** Has the matrix units of compute capability 9.0, which four warps use together; later ones have others. */
        WARP_GROUPS
    }
}
