package io.github.flashlla.process;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;

/** A C library whose functions return a status, 0 for success. */
public final class NativeLibrary {
    private final SymbolLookup library;

    private NativeLibrary(SymbolLookup library) {
        this.library = library;
    }

    /** @param names of which the first that loads counts; or paths */
    public static Optional<NativeLibrary> find(List<String> names) {
        for (String name : names) {
            try {
                return Optional.of(new NativeLibrary(SymbolLookup.libraryLookup(name, Arena.global())));
            } catch (IllegalArgumentException e) {
                // not here; the next one, or none
            }
        }
        return Optional.empty();
    }

    /**
     * Calls a function; -1 where the library does not have it.
     *
     * @param arguments each an Integer or a MemorySegment
     */
    public int call(String function, Object... arguments) {
        ValueLayout[] types = new ValueLayout[arguments.length];
        for (int n = 0; n < types.length; n++) {
            types[n] = arguments[n] instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS;
        }
        try {
            MemorySegment address = library.find(function).orElse(null);
            if (address == null) {
                return -1;
            }
            MethodHandle handle = Linker.nativeLinker().downcallHandle(address, FunctionDescriptor.of(ValueLayout.JAVA_INT, types));
            return (int) handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            if (e instanceof Error error) {
                throw error;
            }
            return -1;
        }
    }
}
