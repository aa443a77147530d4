package io.github.flashlla.combined;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.process.ParentWatch;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/** A part's process: opens one device and carries out orders until the parent closes the connection. */
public final class PartMain {
    private PartMain() {}

    /** @param args the parent's socket, and the device's name */
    public static void main(String[] args) throws IOException, ClassNotFoundException {
        ParentWatch.endWithParent(() -> delete(Path.of(args[0]).getParent()));
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(args[0]));
            ObjectOutputStream out = new ObjectOutputStream(new BufferedOutputStream(Channels.newOutputStream(channel)));
            out.flush();
            ObjectInputStream in = new ObjectInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
            serve(args[1], in, out);
        }
        delete(Path.of(args[0]).getParent()); // a parent that was killed cannot
        Runtime.getRuntime().halt(0); // a driver's exit handlers may hang
    }

    private static void delete(Path folder) {
        File[] files = folder.toFile().listFiles();
        for (File file : files == null ? new File[0] : files) {
            file.delete();
        }
        folder.toFile().delete();
    }

    private static void serve(String name, ObjectInputStream in, ObjectOutputStream out) throws IOException, ClassNotFoundException {
        PartState state;
        try {
            Device device = Devices.open(name);
            state = new PartState(device);
            answer(out, name);
        } catch (RuntimeException | LinkageError e) {
            answer(out, Failure.of(e));
            return;
        }
        while (true) {
            Order<?> order;
            try {
                order = (Order<?>) in.readObject();
            } catch (EOFException e) {
                return;
            }
            Serializable answer;
            try {
                answer = order.run(state);
            } catch (IOException | RuntimeException | LinkageError | OutOfMemoryError | InternalError e) {
                answer = Failure.of(e);
            }
            answer(out, answer);
        }
    }

    private static void answer(ObjectOutputStream out, Serializable answer) throws IOException {
        out.writeObject(answer);
        out.flush();
        out.reset(); // else every answer is kept
    }
}
