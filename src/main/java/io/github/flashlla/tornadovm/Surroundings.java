package io.github.flashlla.tornadovm;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** What answers of drivers, and kernels compiled by them, depend on: the JDK, the SDK, drivers, and the environment that they read. */
final class Surroundings {
    /** Prefixes of the environment variables by which drivers and this project choose devices. */
    private static final List<String> VARIABLES = List.of("OCL_", "OPENCL_", "POCL_", "CUDA_", "NVIDIA_", "ZE_", "SYCL_", "TORNADOVM_HOME",
            "LD_LIBRARY_PATH", "LD_PRELOAD", "FLASHLLA_JAVA_OPTS");

    /** Variables that say where drivers keep their own caches, and change no answer. */
    private static final List<String> CACHES = List.of("POCL_CACHE_DIR", "CUDA_CACHE_PATH", "CUDA_CACHE_MAXSIZE");

    /** Where the loader finds {@code libOpenCL.so.1} and {@code libcuda.so.1}. */
    private static final List<String> LIBRARY_FOLDERS = List.of("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
            "/usr/local/lib");

    private Surroundings() {}

    static List<String> facts(TornadoSdk sdk) {
        List<String> facts = new ArrayList<>(List.of(System.getProperty("java.home"), Runtime.version().toString()));
        facts.addAll(listing(sdk.jarFolder()));
        facts.addAll(listing(sdk.libraryFolder()));
        System.getenv().entrySet().stream().filter(e -> VARIABLES.stream().anyMatch(e.getKey()::startsWith) && !CACHES.contains(e.getKey()))
                .map(Object::toString).sorted().forEach(facts::add);
        facts.addAll(listing(Path.of("/etc/OpenCL/vendors")));
        vendors().ifPresent(folder -> facts.addAll(listing(folder)));
        facts.add(text(Path.of("/proc/driver/nvidia/version")));
        for (String folder : LIBRARY_FOLDERS) {
            for (Backend backend : List.of(Backend.OPENCL, Backend.CUDA)) {
                facts.add(stamp(Path.of(folder, backend.library())));
            }
        }
        return facts;
    }

    /** Those of these that one device's code depends on: a GPU that is shown alone has that of one of its kind among several. */
    static List<String> ofCode(List<String> facts) {
        return facts.stream().filter(fact -> !fact.startsWith(OneGpu.VISIBLE + "=")).toList();
    }

    private static Optional<Path> vendors() {
        try {
            return Optional.ofNullable(System.getenv("OCL_ICD_VENDORS")).map(Path::of);
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    /** A folder's files with their times and sizes. */
    static List<String> listing(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().map(Surroundings::stamp).toList();
        } catch (IOException e) {
            return List.of(folder + " absent");
        }
    }

    /** A file's time and size. */
    static String stamp(Path file) {
        try {
            return Files.isDirectory(file) ? file.toString()
                    : file.toRealPath() + " " + Files.size(file) + " " + Files.getLastModifiedTime(file).toMillis();
        } catch (IOException e) {
            return file + " absent";
        }
    }

    /** How a file begins. */
    static String text(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            return new String(in.readNBytes(1 << 12), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return file + " absent";
        }
    }

    static String digest(List<String> facts) {
        return HexFormat.of().formatHex(sha256().digest(String.join("\n", facts).getBytes(StandardCharsets.UTF_8)));
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
