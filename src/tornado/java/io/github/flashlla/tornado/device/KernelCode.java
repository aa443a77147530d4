package io.github.flashlla.tornado.device;

import java.io.IOException;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.stream.Stream;

/** The Java code that kernels are compiled from, as it is known from one process to the next. */
final class KernelCode {
    private static final String PACKAGE = "io/github/flashlla/tornado/";

    private KernelCode() {}

    /** Class, method and descriptor. */
    static String name(Method kernel) {
        return kernel.getDeclaringClass().getName() + "#" + kernel.getName()
                + MethodType.methodType(kernel.getReturnType(), kernel.getParameterTypes()).toMethodDescriptorString();
    }

    /** The kernel of this name. */
    static Method method(String name) throws ReflectiveOperationException {
        Class<?> declaring = Class.forName(name.substring(0, name.indexOf('#')), false, KernelCode.class.getClassLoader());
        return Arrays.stream(declaring.getDeclaredMethods()).filter(method -> name(method).equals(name)).findFirst()
                .orElseThrow(() -> new NoSuchMethodException(name));
    }

    /** Whether {@link #checksums} speak for this kernel, too. */
    static boolean holds(Method kernel) {
        return kernel.getDeclaringClass().getName().replace('.', '/').startsWith(PACKAGE)
                && kernel.getDeclaringClass().getProtectionDomain().getCodeSource().equals(KernelCode.class.getProtectionDomain().getCodeSource());
    }

    /** Name, size and checksum of each class that a kernel may be made of. */
    static List<String> checksums() throws IOException {
        List<String> sums = new ArrayList<>();
        Path place = Path.of(java.net.URI.create(KernelCode.class.getProtectionDomain().getCodeSource().getLocation().toString()));
        if (Files.isDirectory(place)) {
            try (Stream<Path> files = Files.walk(place.resolve(PACKAGE))) {
                for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                    byte[] content = Files.readAllBytes(file);
                    CRC32 sum = new CRC32();
                    sum.update(content);
                    sums.add(place.relativize(file) + " " + content.length + " " + sum.getValue());
                }
            }
            return sums;
        }
        try (ZipFile jar = new ZipFile(place.toFile())) {
            for (ZipEntry entry : Collections.list(jar.entries())) {
                if (entry.getName().startsWith(PACKAGE) && !entry.isDirectory()) {
                    sums.add(entry.getName() + " " + entry.getSize() + " " + entry.getCrc());
                }
            }
        }
        Collections.sort(sums);
        return sums;
    }
}
