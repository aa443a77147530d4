package io.github.flashlla.tornadovm;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.Locale;

/** A backend of TornadoVM: its driver module, and the native library without which that driver takes its whole JVM down. */
public enum Backend {
    OPENCL("libOpenCL.so.1", "install an OpenCL driver: on Debian and Ubuntu 'apt install pocl-opencl-icd' for this CPU, "
            + "for a GPU its vendor's"),
    SPIRV("libOpenCL.so.1", "install an OpenCL driver that takes SPIR-V, such as Intel's or a PoCL built with SPIR-V"),
    PTX("libcuda.so.1", "install NVIDIA's driver"),
    CUDA("libcuda.so.1", "install NVIDIA's driver");

    private final String library;
    private final String remedy;

    Backend(String library, String remedy) {
        this.library = library;
        this.remedy = remedy;
    }

    /** Name as in device names and in TornadoVM's own module names: {@code opencl}, {@code spirv}, {@code ptx}, {@code cuda}. */
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The shared library of the system that it needs. */
    public String library() {
        return library;
    }

    /** What to do where that library, or a device behind it, is missing. */
    public String remedy() {
        return remedy;
    }

    /** Name of the driver module. */
    String module() {
        return "tornado.drivers." + id();
    }

    /** Whether the system's library loads here; the driver itself stays unloaded. */
    public boolean libraryLoads() {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup(library, arena);
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** The backend of a device name such as {@code opencl:0}, or null if it is none of TornadoVM's, or several devices. */
    public static Backend of(String device) {
        if (device.contains("+")) {
            return null;
        }
        String name = device.contains(":") ? device.substring(0, device.indexOf(':')) : device;
        for (Backend backend : values()) {
            if (backend.id().equals(name)) {
                return backend;
            }
        }
        return null;
    }
}
