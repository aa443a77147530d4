package io.github.flashlla.tornado.device;

import io.github.flashlla.tornado.kernels.tile.CudaC;
import java.io.IOException;
import java.io.InputStream;
import java.lang.classfile.Attributes;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.MethodModel;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Tells whether a kernel asks for the size of an array, which TornadoVM then compiles into it: its code is for these sizes alone. */
final class ArraySizes {
    private static final String TORNADO = "uk/ac/manchester/tornado/api/";
    /** Methods of TornadoVM's arrays and vectors. */
    private static final Set<String> SIZES = Set.of("getSize", "getLength", "size", "vectorWidth", "getNumBytesOfSegment",
            "getNumBytesOfSegmentWithHeader");
    private static final Map<Method, Boolean> KNOWN = new ConcurrentHashMap<>();

    private final ClassLoader loader;
    private final Map<String, ClassModel> classes = new HashMap<>();
    private final Set<String> visited = new HashSet<>();

    private ArraySizes(ClassLoader loader) {
        this.loader = loader;
    }

    /** Also where the kernel's class file, or that of a method it calls, cannot be read. */
    static boolean areReadBy(Method kernel) {
        return KNOWN.computeIfAbsent(kernel, method -> new ArraySizes(method.getDeclaringClass().getClassLoader())
                .read(method.getDeclaringClass().getName().replace('.', '/'), method.getName(),
                        MethodType.methodType(method.getReturnType(), method.getParameterTypes())
                                .toMethodDescriptorString()));
    }

    /** What an earlier process found. */
    static void remember(Method kernel, boolean read) {
        KNOWN.putIfAbsent(kernel, read);
    }

    private boolean read(String owner, String name, String descriptor) {
        if (owner.startsWith(TORNADO)) {
            return SIZES.contains(name);
        }
        if (owner.startsWith("java/") || !visited.add(owner + "." + name + descriptor)) {
            return false;
        }
        ClassModel model = classes.computeIfAbsent(owner, this::parse);
        if (model == null) {
            return true;
        }
        for (MethodModel method : model.methods()) {
            if (method.methodName().equalsString(name) && method.methodType().equalsString(descriptor)) {
                return !isWrittenInCudaC(method) && (method.code().isEmpty() || method.code().get().elementStream().anyMatch(element ->
                        element instanceof InvokeInstruction call
                                && read(call.owner().asInternalName(), call.name().stringValue(), call.type().stringValue())));
            }
        }
        return true; // inherited
    }

    /** A kernel gets the text of the annotation in place of such a method's body. */
    private static boolean isWrittenInCudaC(MethodModel method) {
        return method.findAttribute(Attributes.runtimeVisibleAnnotations()).stream().flatMap(all -> all.annotations().stream())
                .anyMatch(annotation -> annotation.classSymbol().descriptorString().equals(CudaC.class.descriptorString()));
    }

    private ClassModel parse(String name) {
        try (InputStream file = loader.getResourceAsStream(name + ".class")) {
            return file == null ? null : ClassFile.of().parse(file.readAllBytes());
        } catch (IOException | IllegalArgumentException e) {
            return null;
        }
    }
}
