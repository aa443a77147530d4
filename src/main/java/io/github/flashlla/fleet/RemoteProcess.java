package io.github.flashlla.fleet;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A command that runs a script on a host. What it says comes line by line; closing its standard input ends the script. */
final class RemoteProcess implements AutoCloseable {
    /** For a script that is told to end, to do so and print what it has. */
    private static final int GRACE_SECONDS = 8;
    private static final int LAST_GRACE_SECONDS = 2;
    private static final int POLL_MILLIS = 200;

    /**
     * A line.
     *
     * @param error whether it came on standard error
     */
    record Line(String text, boolean error) {}

    private final Process process;
    private final BlockingQueue<Line> lines = new LinkedBlockingQueue<>();
    private final Thread output;
    private final Thread errors;
    private volatile long lastSign = System.nanoTime();

    RemoteProcess(List<String> command) throws IOException {
        process = new ProcessBuilder(command).start();
        output = reading(process.getInputStream(), false);
        errors = reading(process.getErrorStream(), true);
    }

    private Thread reading(InputStream from, boolean error) {
        return Thread.ofVirtual().start(() -> {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(from, StandardCharsets.UTF_8))) {
                for (String line = in.readLine(); line != null; line = in.readLine()) {
                    lastSign = System.nanoTime();
                    lines.add(new Line(line, error));
                }
            } catch (IOException e) {
                return; // the process has been ended
            }
        });
    }

    /** The next line; null if there is none yet, or at the end. */
    Line next() {
        try {
            return lines.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return null;
        }
    }

    /** Whether it has ended and everything that it said has been read. */
    boolean ended() {
        return !process.isAlive() && !output.isAlive() && !errors.isAlive() && lines.isEmpty();
    }

    int exitStatus() {
        return process.exitValue();
    }

    /** Seconds without a word from there, and without anything that it took. */
    double silence() {
        return (System.nanoTime() - lastSign) / 1e9;
    }

    /** Sends all of a stream, then the end of input. */
    void send(InputStream from) throws IOException {
        byte[] block = new byte[1 << 16];
        try (OutputStream to = process.getOutputStream()) {
            for (int count = from.read(block); count >= 0; count = from.read(block)) {
                to.write(block, 0, count);
                lastSign = System.nanoTime();
            }
        }
    }

    /** Ends the script by ending its input; what it still says can be read. */
    void hangUp() {
        try {
            process.getOutputStream().close();
        } catch (IOException e) {
            return; // it has ended
        }
    }

    @Override
    public void close() {
        hangUp();
        try {
            if (process.waitFor(GRACE_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
            process.descendants().forEach(ProcessHandle::destroy);
            process.destroy();
            if (process.waitFor(LAST_GRACE_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }
}
