package io.github.flashlla.cli;

import io.github.flashlla.Devices;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.BackendSurvey;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.SurveyedDeviceProvider;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.function.Supplier;

/**
 * What a command on a TornadoVM device needs whatever else its command line says, done side by side. Most of it is the loading of classes. A
 * survey or a profile that fails here is read again where it is needed, and told there.
 */
final class Startup {
    private Startup() {}

    /**
     * The parser of command lines, while what these arguments need is begun on other threads. In a JVM that was started for a TornadoVM
     * device, its driver has started when this returns, on this thread: NVIDIA's belong to the threads that have used the device.
     */
    static <T> T with(String[] args, Supplier<T> parser) {
        if (SurveyedDeviceProvider.inTornadoJvm()) {
            beside(Executors.callable(DeviceProfile::load));
            FutureTask<T> made = beside(parser::get);
            Devices.list();
            return resultOf(made);
        }
        if (namesDevice(args)) {
            beside(BackendSurvey::all);
            beside(Executors.callable(DeviceProfile::load));
        }
        return parser.get();
    }

    /** Whether a word, or the value in {@code --device=VALUE}, is the name of a TornadoVM device. */
    static boolean namesDevice(String[] args) {
        return Arrays.stream(args).map(word -> word.startsWith("--") ? word.substring(word.indexOf('=') + 1) : word)
                .anyMatch(word -> Backend.of(word) != null);
    }

    private static <T> T resultOf(FutureTask<T> task) {
        try {
            return task.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException("the parser of command lines could not be made", e);
        }
    }

    private static <T> FutureTask<T> beside(Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        Thread.ofPlatform().daemon().start(task);
        return task;
    }
}
