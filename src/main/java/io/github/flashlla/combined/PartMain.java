package io.github.flashlla.combined;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo.Trait;
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
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;

/** A part's process: opens one device and carries out orders until the parent closes the connection. */
public final class PartMain {
    /** Pieces that are worked on at once: one is on the device, one is copied there, one is copied back. With 1, the thread that reads orders does them. */
    private static final int LANES = Integer.getInteger("flashlla.combined.lanes", 3);

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
        Executor lanes;
        try {
            Device device = Devices.open(name);
            state = new PartState(device);
            lanes = LANES <= 1 || device.info().has(Trait.ON_HEAP) ? Runnable::run // what computes where the data is copies nothing
                    : Executors.newFixedThreadPool(LANES, Thread.ofPlatform().daemon().factory());
            answer(out, name);
        } catch (RuntimeException | LinkageError e) {
            answer(out, Failure.of(e));
            return;
        }
        CompletableFuture<Void> told = CompletableFuture.completedFuture(null);
        while (true) {
            Order<?> order;
            try {
                order = (Order<?>) in.readObject();
            } catch (EOFException e) {
                return;
            }
            CompletableFuture<Serializable> answer = order.overlaps() ? CompletableFuture.supplyAsync(() -> carryOut(order, state), lanes)
                    : CompletableFuture.completedFuture(carryOut(order, state));
            told = told.thenAcceptBoth(answer, (_, words) -> answer(out, words)).exceptionally(PartMain::end); // in the order of the orders
        }
    }

    private static Serializable carryOut(Order<?> order, PartState state) {
        try {
            return order.run(state);
        } catch (IOException | RuntimeException | LinkageError | OutOfMemoryError | InternalError e) {
            return Failure.of(e);
        }
    }

    /** An answer that cannot be given would be waited for in vain. */
    private static Void end(Throwable e) {
        e.printStackTrace();
        Runtime.getRuntime().halt(1);
        return null;
    }

    private static void answer(ObjectOutputStream out, Serializable answer) {
        try {
            out.writeObject(answer);
            out.flush();
            out.reset(); // else every answer is kept
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
