package io.github.flashlla.spark;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.io.NpyHeader;
import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.StandardOpenOption;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

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
        return fileSystem().open(new Path(path));
    }

    /** The file system of a file that is not local, set up as the Spark application is ({@code spark.hadoop.*}). */
    FileSystem fileSystem() throws IOException {
        SparkEnv env = SparkEnv.get();
        SparkHadoopUtil hadoop = SparkHadoopUtil.get();
        return new Path(path).getFileSystem(env == null ? hadoop.conf() : hadoop.newConfiguration(env.conf()));
    }

    /** Writes a whole tensor, and lets a file appear under its name when it is complete. */
    void write(Tensor tensor) throws IOException {
        if (isLocal()) {
            Npy.write(local(), tensor);
            return;
        }
        Path file = new Path(path);
        Path part = new Path(file.getParent(), "." + file.getName() + "." + ProcessHandle.current().pid() + "-" + Thread.currentThread().threadId());
        FileSystem system = fileSystem();
        try {
            try (OutputStream to = system.create(part, true)) {
                to.write(NpyHeader.format(tensor.type(), tensor.dims()));
                long bytes = tensor.byteSize();
                for (long done = 0; done < bytes; done += CHUNK_BYTES) {
                    to.write(tensor.segment().asSlice(done, Math.min(CHUNK_BYTES, bytes - done)).toArray(ValueLayout.JAVA_BYTE));
                }
            }
            system.delete(file, false);
            if (!system.rename(part, file)) {
                throw new IOException(part + " cannot be renamed to " + file.getName());
            }
        } finally {
            system.delete(part, false);
        }
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
