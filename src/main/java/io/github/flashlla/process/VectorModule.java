package io.github.flashlla.process;

import java.util.List;

/**
 * The module of the Vector API, which is not loaded when a JVM starts but when its first user asks for it.
 *
 * <p>A JVM that is started with {@code --add-modules jdk.incubator.vector} writes a warning before it comes to {@code main},
 * and no flag turns that off. The JDK has a second way to load a module of its own, for agents and monitoring: into a layer
 * above the one the JVM started with, by the same class loader, with the same rights, and without that warning. HotSpot
 * switches its compiler for vectors on in either way, for it goes by the module's name. The way is internal to the JDK, so
 * {@link #FLAG} must open it.
 */
public final class VectorModule {
    /** A java flag that lets this class load the module. */
    public static final String FLAG = "--add-exports=java.base/jdk.internal.module=ALL-UNNAMED";

    private static final String NAME = "jdk.incubator.vector";

    private VectorModule() {}

    /** Whether classes that use the Vector API run in this JVM; the first call loads the module where that is possible. */
    public static boolean isPresent() {
        return Once.PRESENT;
    }

    /** What a JVM must be started with to have the module if this one has it. */
    static List<String> flags() {
        return isPresent() ? List.of(FLAG) : List.of();
    }

    private static final class Once {
        static final boolean PRESENT = ModuleLayer.boot().findModule(NAME).isPresent() || load();

        private static boolean load() {
            if (!Object.class.getModule().isExported("jdk.internal.module", VectorModule.class.getModule())) {
                return false;
            }
            try {
                Class.forName("jdk.internal.module.Modules").getMethod("loadModule", String.class).invoke(null, NAME);
                return true;
            } catch (ReflectiveOperationException e) { // not in this Java runtime, or another Java version
                return false;
            }
        }
    }
}
