package io.github.flashlla.process;

import io.github.flashlla.DeviceException;
import io.github.flashlla.io.ScratchFolder;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Runs a command line in a child JVM, as if it ran in this one. The child parses it again, so that a command has one code
 * path.
 *
 * <p>The child's {@code System.out} writes to a file ({@value #RESULTS}), which this JVM copies to its own standard output
 * as it grows. Standard error is shared. A child that a driver kills costs a sentence, not the shell's "Aborted (core
 * dumped)".
 */
public final class CommandRelay {
    /** System property: file that {@link #adopt} makes {@code System.out} write to. */
    private static final String RESULTS = "flashlla.results";

    private CommandRelay() {}

    /**
     * To be called first in a command's main method: in a child JVM, sends {@code System.out} to the parent.
     *
     * @return whether this is a child JVM
     */
    public static boolean adopt() {
        String results = System.getProperty(RESULTS);
        if (results != null) {
            try {
                System.setOut(new PrintStream(new FileOutputStream(results, true), true, StandardCharsets.UTF_8));
            } catch (IOException e) {
                throw new UncheckedIOException("cannot write to " + results, e);
            }
        }
        return results != null;
    }

    /**
     * Runs {@code main} with {@code args} in a child JVM.
     *
     * @param what what the child opens, for messages
     * @return its exit status
     * @throws DeviceException if the child was killed by a signal or crashed
     */
    public static int run(JavaCommand java, String what, Class<?> main, List<String> args) {
        return run(java, what, main.getName(), args);
    }

    /** The same with a main class that this JVM may not have. */
    public static int run(JavaCommand java, String what, String main, List<String> args) {
        try (ScratchFolder folder = new ScratchFolder("run")) {
            Path results = Files.createFile(folder.resolve("results"));
            JavaCommand command = java.with(List.of("-D" + RESULTS + "=" + results));
            try (ChildJvm child = ChildJvm.startOnTerminal(command, folder, main, args)) {
                return follow(child, results, what);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start a JVM for " + what, e);
        }
    }

    private static int follow(ChildJvm child, Path results, String what) throws IOException {
        Thread ending = Thread.ofPlatform().unstarted(child::end);
        Runtime.getRuntime().addShutdownHook(ending);
        try (InputStream in = Files.newInputStream(results)) {
            boolean ended;
            do {
                ended = child.awaitEnd(20);
                in.transferTo(System.out); // to the end of what is written so far
                System.out.flush(); // whether it could be written is asked when the command has ended
            } while (!ended && !Thread.currentThread().isInterrupted());
            if (!ended) {
                return 1;
            }
        }
        try {
            Runtime.getRuntime().removeShutdownHook(ending);
        } catch (IllegalStateException e) {
            return child.exitStatus(); // this JVM was told to end, and its child with it
        }
        Optional<String> death = child.death();
        if (death.isPresent()) {
            String words = child.lastWords();
            throw new DeviceException("the JVM that ran " + what + " " + death.get()
                    + (words.isEmpty() ? "" : "; its driver's last words: " + words) + "; run flashlla doctor.");
        }
        return child.exitStatus();
    }
}
