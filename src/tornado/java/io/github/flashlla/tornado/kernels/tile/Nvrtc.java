package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.process.NativeLibrary;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * NVIDIA's compiler of CUDA C, for what TornadoVM does not have it compile to: architectures with features of their own, such as {@code sm_90a}
 * beside {@code sm_90}. It is the library that TornadoVM has loaded, or the system's where that has not.
 */
public final class Nvrtc {
    private static final Path LOADED = Path.of("/proc/self/maps");
    private static final List<String> USUAL = List.of("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll");
    /** Where toolkits are that a library without built-in headers needs. */
    private static final List<String> TOOLKITS = List.of("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT");

    private static Optional<Nvrtc> known;

    private final NativeLibrary library;

    private Nvrtc(NativeLibrary library) {
        this.library = library;
    }

    /** Empty where there is none. TornadoVM's CUDA backend, if it is to run, must have begun to. */
    public static synchronized Optional<Nvrtc> find() {
        if (known == null || known.isEmpty()) {
            known = of(Stream.concat(loaded().stream(), USUAL.stream()).toList());
        }
        return known;
    }

    /** Its version's first number: architectures such as {@code sm_90a} are known from 12 on. */
    public int major() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment numbers = arena.allocate(ValueLayout.JAVA_INT, 2);
            check("nvrtcVersion", library.call("nvrtcVersion", numbers, numbers.asSlice(Integer.BYTES)));
            return numbers.get(ValueLayout.JAVA_INT, 0);
        }
    }

    /** @param names as {@link NativeLibrary#find} takes them */
    static Optional<Nvrtc> of(List<String> names) {
        return NativeLibrary.find(names).map(Nvrtc::new);
    }

    private static List<String> loaded() {
        try (Stream<String> lines = Files.lines(LOADED)) {
            return lines.filter(line -> line.contains("/libnvrtc.so")).map(line -> line.substring(line.indexOf('/'))).distinct().toList();
        } catch (IOException | RuntimeException e) {
            return List.of(); // not Linux
        }
    }

    /**
     * The machine code of kernels.
     *
     * @param architecture such as {@code sm_90a}
     * @throws IllegalStateException with what the compiler says, if it does not take the source
     */
    public byte[] compile(String source, String architecture) {
        List<String> options = new ArrayList<>(List.of("--gpu-architecture=" + architecture));
        try {
            return compile(source, options);
        } catch (IllegalStateException e) {
            List<String> folders = source.contains("#include") ? headers() : List.of();
            if (folders.isEmpty()) {
                throw e;
            }
            options.addAll(folders); // not at once: some libraries have headers built in, which these would hide
            return compile(source, options);
        }
    }

    private static List<String> headers() {
        return Stream.concat(TOOLKITS.stream().map(System::getenv).filter(Objects::nonNull), Stream.of("/usr/local/cuda", "/usr"))
                .map(toolkit -> Path.of(toolkit, "include")).distinct().filter(folder -> Files.exists(folder.resolve("cuda_fp16.h")))
                .map(folder -> "--include-path=" + folder).toList();
    }

    private byte[] compile(String source, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment program = arena.allocate(ValueLayout.ADDRESS);
            check("nvrtcCreateProgram", library.call("nvrtcCreateProgram", program, arena.allocateFrom(source), arena.allocateFrom("kernel.cu"), 0,
                    MemorySegment.NULL, MemorySegment.NULL));
            MemorySegment handle = program.get(ValueLayout.ADDRESS, 0);
            try {
                MemorySegment words = arena.allocate(ValueLayout.ADDRESS, options.size());
                for (int i = 0; i < options.size(); i++) {
                    words.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(options.get(i)));
                }
                int status = library.call("nvrtcCompileProgram", handle, options.size(), words);
                if (status != 0) {
                    byte[] log = content(arena, handle, "nvrtcGetProgramLog");
                    throw new IllegalStateException("NVRTC does not compile a kernel (status " + status + ", " + String.join(" ", options) + "):\n"
                            + new String(log, StandardCharsets.UTF_8).replace("\0", "").strip());
                }
                return content(arena, handle, "nvrtcGetCUBIN");
            } finally {
                library.call("nvrtcDestroyProgram", program);
            }
        }
    }

    private byte[] content(Arena arena, MemorySegment handle, String function) {
        MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
        check(function, library.call(function + "Size", handle, size));
        MemorySegment content = arena.allocate(Math.max(1, size.get(ValueLayout.JAVA_LONG, 0)));
        check(function, library.call(function, handle, content));
        return content.toArray(ValueLayout.JAVA_BYTE);
    }

    private static void check(String function, int status) {
        if (status != 0) {
            throw new IllegalStateException(function + " of NVRTC returned " + status);
        }
    }
}
