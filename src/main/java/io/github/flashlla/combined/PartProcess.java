package io.github.flashlla.combined;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import java.io.IOException;
import java.io.Serializable;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The parent's side of a part: its process, and the connection to it. One thread at a time. */
final class PartProcess implements AutoCloseable {
    /** Longest time for a process to start. */
    private static final long START_NANOS = 120_000_000_000L;
    private static final int POLL_MILLIS = 5;
    /** A dying process closes its connection before it ends. */
    private static final int DEATH_MILLIS = 5_000;

    private final DeviceInfo device;
    private final String name;
    private final ScratchFolder folder;
    private final ServerSocketChannel listening;
    private final ChildJvm child;
    private volatile Connection connection;
    private volatile boolean dead;

    /**
     * Starts the process, without waiting for it.
     *
     * @param name for messages, different for each part
     */
    PartProcess(DeviceInfo device, String name, JavaCommand java) throws IOException {
        this.device = device;
        this.name = name;
        this.folder = new ScratchFolder("part");
        ServerSocketChannel socket = null;
        try {
            Path address = folder.resolve("s");
            socket = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            socket.bind(UnixDomainSocketAddress.of(address));
            socket.configureBlocking(false);
            this.listening = socket;
            this.child = ChildJvm.start(java, folder, PartMain.class, List.of(address.toString(), device.name()));
        } catch (IOException | RuntimeException e) {
            if (socket != null) {
                socket.close();
            }
            folder.close();
            throw e;
        }
    }

    /** Waits until its device is open. */
    void awaitOpen() {
        try {
            long deadline = System.nanoTime() + START_NANOS;
            SocketChannel channel;
            while ((channel = listening.accept()) == null) {
                if (awaitEnd(POLL_MILLIS)) {
                    throw new DeviceException(obituary() + " before its device was open");
                }
                if (System.nanoTime() - deadline > 0) {
                    throw new DeviceException(name + " did not start within " + START_NANOS / 1_000_000_000 + " s");
                }
            }
            connection = new Connection(channel);
        } catch (IOException e) {
            throw new DeviceException(obituary() + " before its device was open", e);
        }
        receive(String.class).orElseThrow(() -> new DeviceException(obituary() + " while it opened its device"));
    }

    DeviceInfo device() {
        return device;
    }

    /** For messages, such as {@code jvm (part 2)}. */
    String name() {
        return name;
    }

    long pid() {
        return child.pid();
    }

    boolean dead() {
        return dead;
    }

    /** Sends an order; a part that has died does not take it. */
    void send(Order<?> order) {
        if (dead) {
            return;
        }
        try {
            connection.send(order);
        } catch (IOException e) {
            dead = true;
        }
    }

    /**
     * Waits for the answer to the last order.
     *
     * @return empty if the part died
     * @throws RuntimeException what the order threw in the part
     */
    <R extends Serializable> Optional<R> receive(Class<R> type) {
        if (dead) {
            return Optional.empty();
        }
        Object answer;
        try {
            answer = connection.receive();
        } catch (IOException e) {
            dead = true;
            return Optional.empty();
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
        if (answer instanceof Failure failure) {
            throw failure.exception(name);
        }
        return Optional.of(type.cast(answer));
    }

    /** How it died, as the beginning of a sentence. */
    String obituary() {
        try {
            if (!awaitEnd(DEATH_MILLIS)) {
                return "the process of " + name + " closed its connection";
            }
            String words = child.lastWords();
            return "the process of " + name + " " + child.death().orElse("ended with status " + child.exitStatus())
                    + (words.isEmpty() ? "" : " (its last words: " + words + ")");
        } catch (IOException e) {
            return "the process of " + name + " ended";
        }
    }

    /** An interrupt that was there before does not end the waiting, and stays set. */
    private boolean awaitEnd(long millis) {
        try (PutOffInterrupt _ = new PutOffInterrupt()) {
            return child.awaitEnd(millis);
        }
    }

    /** From any thread. */
    @Override
    public void close() {
        try {
            if (connection != null) {
                connection.close();
            }
            listening.close();
        } catch (IOException e) {
            // the process is ended below
        }
        try (PutOffInterrupt _ = new PutOffInterrupt()) { // else nobody waits for the end
            child.close();
            folder.close();
        }
    }
}
