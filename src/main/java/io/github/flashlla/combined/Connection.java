package io.github.flashlla.combined;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

/**
 * Objects to and from a part. An interrupt closes a channel that a thread blocks on, and the part would be lost with it. So this one
 * never blocks: a selector waits for it, which an interrupt wakes and leaves open. The interrupt stays set.
 */
final class Connection implements AutoCloseable {
    private final SocketChannel channel;
    private final Selector selector;
    private final SelectionKey key;
    private final ObjectOutputStream out;
    private final ObjectInputStream in;

    /** Waits for the other side's first bytes. */
    Connection(SocketChannel channel) throws IOException {
        this.channel = channel;
        channel.configureBlocking(false);
        selector = Selector.open();
        key = channel.register(selector, 0);
        try {
            out = new ObjectOutputStream(new BufferedOutputStream(new Sink()));
            out.flush();
            in = new ObjectInputStream(new BufferedInputStream(new Source()));
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    void send(Object object) throws IOException {
        out.writeObject(object);
        out.flush();
        out.reset(); // else every object is kept
    }

    /** Waits for an object. */
    Object receive() throws IOException, ClassNotFoundException {
        return in.readObject();
    }

    /** One try to read or write: bytes that went, -1 at the end, 0 if it has to wait. */
    private interface Transfer {
        int attempt() throws IOException;
    }

    private int await(int readiness, Transfer transfer) throws IOException {
        try (PutOffInterrupt interrupt = new PutOffInterrupt()) {
            int bytes;
            while ((bytes = transfer.attempt()) == 0) {
                key.interestOps(readiness);
                selector.select();
                selector.selectedKeys().clear();
                interrupt.again(); // else it would not wait
            }
            return bytes;
        } catch (CancelledKeyException | ClosedSelectorException e) {
            throw new IOException("closed by another thread", e);
        }
    }

    private final class Source extends InputStream {
        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : Byte.toUnsignedInt(one[0]);
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            ByteBuffer room = ByteBuffer.wrap(bytes, offset, length);
            return length == 0 ? 0 : await(SelectionKey.OP_READ, () -> channel.read(room));
        }
    }

    private final class Sink extends OutputStream {
        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            ByteBuffer left = ByteBuffer.wrap(bytes, offset, length);
            while (left.hasRemaining()) {
                await(SelectionKey.OP_WRITE, () -> channel.write(left));
            }
        }
    }

    /** From any thread; who waits gets an exception. */
    @Override
    public void close() throws IOException {
        channel.close();
        selector.close();
    }
}
