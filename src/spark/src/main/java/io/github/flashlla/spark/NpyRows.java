package io.github.flashlla.spark;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.NpyHeader;
import java.io.IOException;
import java.io.Serializable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.StandardOpenOption;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;

/**
 * A .npy file whose parts tasks read: a local or shared one is mapped, one of another file system read through Hadoop.
 *
 * @param path as Hadoop names files; without a scheme a local one
 */
record NpyRows(String path) implements Serializable {
    private static final int CHUNK_BYTES = 1 << 22;

    boolean isLocal() {
        String scheme = new Path(path).toUri().getScheme();
        return scheme == null || scheme.equals("file");
    }

    java.nio.file.Path local() {
        return java.nio.file.Path.of(new Path(path).toUri().getPath());
    }

    /** Sizes, outermost first, brought to rank 4 by ones in front. */
    long[] dims() throws IOException {
        long[] dims = header().dims();
        if (dims.length < 2 || dims.length > 4) {
            throw new InvalidInputException(path + " has rank " + dims.length + "; (length, dim), (heads, length, dim) or (batch, heads, length, dim) is needed.");
        }
        long[] four = {1, 1, 1, 1};
        System.arraycopy(dims, 0, four, 4 - dims.length, dims.length);
        return four;
    }

    NpyHeader header() throws IOException {
        try {
            if (isLocal()) {
                try (FileChannel in = FileChannel.open(local(), StandardOpenOption.READ)) {
                    return NpyHeader.read(in, path);
                }
            }
            try (FSDataInputStream in = open()) {
                return NpyHeader.read(Channels.newChannel(in), path);
            }
        } catch (NoSuchFileException | java.io.FileNotFoundException e) {
            throw new InvalidInputException(path + " does not exist.");
        }
    }

    private FSDataInputStream open() throws IOException {
        Path file = new Path(path);
        return file.getFileSystem(new Configuration()).open(file);
    }

    /** Elements from {@code from} on, as many as {@code dims} need. */
    Tensor read(long from, long... dims) throws IOException {
        NpyHeader header = header();
        long elements = 1;
        for (long dim : dims) {
            elements *= dim;
        }
        long at = header.dataOffset() + from * header.type().bytes();
        long bytes = elements * header.type().bytes();
        if (isLocal()) {
            try (FileChannel in = FileChannel.open(local(), StandardOpenOption.READ)) {
                return Tensor.wrap(in.map(FileChannel.MapMode.READ_ONLY, at, bytes, Arena.ofAuto()), header.type(), dims);
            }
        }
        Tensor tensor = Tensor.allocate(header.type(), dims);
        byte[] chunk = new byte[(int) Math.min(CHUNK_BYTES, bytes)];
        try (FSDataInputStream in = open()) {
            for (long done = 0; done < bytes; done += chunk.length) {
                int count = (int) Math.min(chunk.length, bytes - done);
                in.readFully(at + done, chunk, 0, count);
                MemorySegment.copy(MemorySegment.ofArray(chunk), 0, tensor.segment(), done, count);
            }
        }
        return tensor;
    }
}
