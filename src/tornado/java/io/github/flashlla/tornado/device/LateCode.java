package io.github.flashlla.tornado.device;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import uk.ac.manchester.tornado.api.common.SchedulableTask;

/**
 * A kernel's code in the hands of TornadoVM, which asks for that of one task after the other, before it is compiled: those of a graph can then
 * be compiled side by side. The compiler itself takes one kernel at a time, and drivers take several.
 */
final class LateCode implements InvocationHandler {
    /** Graal's phases call each other deeply. */
    private static final long STACK_BYTES = 16 << 20;

    private final List<SchedulableTask> tasks = new ArrayList<>();
    private final Object standIn;
    /** Null as long as it is not compiled. */
    private volatile Object code;

    /** @param type TornadoVM's interface of code */
    LateCode(Class<?> type) {
        this.standIn = Proxy.newProxyInstance(LateCode.class.getClassLoader(), new Class<?>[] {type}, this);
    }

    /** What TornadoVM gets for a task of this kernel. */
    Object of(SchedulableTask task) {
        tasks.add(task);
        return standIn;
    }

    /** All that have this kernel. */
    List<SchedulableTask> tasks() {
        return tasks;
    }

    void set(Object compiled) {
        code = Objects.requireNonNull(compiled, "TornadoVM compiled no kernel");
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        if (method.getDeclaringClass() == Object.class) {
            return switch (method.getName()) {
                case "equals" -> proxy == arguments[0];
                case "hashCode" -> System.identityHashCode(proxy);
                default -> "kernel " + code;
            };
        }
        if (code == null) {
            if (method.getName().equals("isValid")) {
                return true;
            }
            throw new IllegalStateException("a kernel is not compiled yet");
        }
        try {
            return method.invoke(code, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /**
     * Does all of this, and throws what the first of those threw that failed.
     *
     * @param most how many at a time; 1 for this thread alone
     */
    static void compile(List<Callable<Void>> work, int most) throws Exception {
        int threads = Math.min(work.size(), most);
        if (threads <= 1) {
            for (Callable<Void> each : work) {
                each.call();
            }
            return;
        }
        try (ExecutorService pool = Executors.newFixedThreadPool(threads, task -> {
            Thread thread = new Thread(null, task, "flashlla-compile", STACK_BYTES);
            thread.setDaemon(true);
            return thread;
        })) {
            for (Future<Void> done : pool.invokeAll(work)) {
                done.get();
            }
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case Exception thrown -> throw thrown;
                case Error thrown -> throw thrown;
                default -> throw e;
            }
        }
    }
}
