package io.github.flashlla.spark;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Piece;
import io.github.flashlla.io.NpyHeader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A problem in .npy files that all executors reach: on this machine, on a shared disk or in any file system of Hadoop's.
 *
 * @param ridge null to use the options' for all queries
 * @param shape what the files hold
 * @param fileDims of q as its file has them, which the output keeps
 */
public record SparkFiles(NpyRows q, NpyRows k, NpyRows v, NpyRows ridge, AttentionShape shape, long[] fileDims) implements Serializable {

    /**
     * Reads the headers only.
     *
     * @throws InvalidInputException if a file is not there, is none, or does not fit the others
     */
    public static SparkFiles of(String q, String k, String v, String ridge) throws IOException {
        NpyRows queries = new NpyRows(q);
        NpyRows keys = new NpyRows(k);
        NpyRows values = new NpyRows(v);
        long[] qd = queries.dims();
        long[] kd = keys.dims();
        long[] vd = values.dims();
        if (qd[0] != kd[0] || kd[0] != vd[0] || kd[1] != vd[1] || kd[2] != vd[2] || qd[3] != kd[3]) {
            throw new InvalidInputException("q " + Tensor.shapeString(qd) + ", k " + Tensor.shapeString(kd) + " and v " + Tensor.shapeString(vd)
                    + " do not fit: (B,H,Sq,D), (B,Hkv,Sk,D) and (B,Hkv,Sk,Dv) are needed");
        }
        AttentionShape shape = new AttentionShape(Math.toIntExact(qd[0]), Math.toIntExact(qd[1]), Math.toIntExact(kd[1]), Math.toIntExact(qd[2]),
                Math.toIntExact(kd[2]), Math.toIntExact(qd[3]), Math.toIntExact(vd[3]));
        NpyRows ridges = ridge == null ? null : new NpyRows(ridge);
        if (ridges != null && count(ridges.header().dims()) != shape.rows()) {
            throw new InvalidInputException(ridge + " has shape " + Tensor.shapeString(ridges.header().dims()) + ", but one value per query needs "
                    + Tensor.shapeString(shape.rowDims()));
        }
        return new SparkFiles(queries, keys, values, ridges, shape, queries.header().dims());
    }

    private static long count(long[] dims) {
        long count = 1;
        for (long dim : dims) {
            count *= dim;
        }
        return count;
    }

    /** A task for each key/value head and block of queries. */
    public List<Shard> shards(int blockQueries, boolean causal, String out) {
        if (causal && shape.queryLength() > shape.keyLength()) {
            throw new InvalidInputException("there are " + shape.queryLength() + " queries but only " + shape.keyLength()
                    + " keys; causal attention needs Sq <= Sk (or say --no-causal)");
        }
        List<Shard> shards = new ArrayList<>();
        for (int head = 0; head < shape.batch() * shape.kvHeads(); head++) {
            for (int from = 0; from < shape.queryLength(); from += blockQueries) {
                int to = Math.min(shape.queryLength(), from + blockQueries);
                shards.add(new FileShard(this, new Piece(head, head + 1, from, to, causal ? to + shape.keyLength() - shape.queryLength()
                        : shape.keyLength()), out));
            }
        }
        return shards.reversed(); // the last queries see most keys: first, so that no long task is left for the end
    }

    /** {@code count} shards of each head's keys, about equally long. */
    public List<KeyShard> keyShards(int count) {
        List<KeyShard> shards = new ArrayList<>();
        for (int head = 0; head < shape.batch() * shape.kvHeads(); head++) {
            for (int n = 0; n < count; n++) {
                int from = (int) ((long) shape.keyLength() * n / count);
                int to = (int) ((long) shape.keyLength() * (n + 1) / count);
                if (to > from) {
                    shards.add(new FileKeyShard(this, head, from, to));
                }
            }
        }
        return shards;
    }

    /** The newest key of each key/value head (B,Hkv,1,D). */
    public Tensor newestKeys() throws IOException {
        Tensor newest = Tensor.allocate(DataType.FLOAT64, shape.batch(), shape.kvHeads(), 1, shape.headDim());
        for (int head = 0; head < shape.batch() * shape.kvHeads(); head++) {
            Tensor key = k.read(((long) (head + 1) * shape.keyLength() - 1) * shape.headDim(), shape.headDim());
            for (int d = 0; d < shape.headDim(); d++) {
                newest.set((long) head * shape.headDim() + d, key.get(d));
            }
        }
        return newest;
    }

    private record FileKeyShard(SparkFiles files, int head, int from, int to) implements KeyShard {
        @Override
        public Tensor keys() throws IOException {
            return part(files.k, files.shape.headDim());
        }

        @Override
        public Tensor values() throws IOException {
            return part(files.v, files.shape.valueDim());
        }

        private Tensor part(NpyRows rows, int width) throws IOException {
            return rows.read(((long) head * files.shape.keyLength() + from) * width, 1, 1, to - from, width);
        }
    }

    /**
     * Prepares the output, into which tasks write: one file where they can write into its middle, else a folder of parts.
     *
     * @throws InvalidInputException if a folder of that name is there
     */
    Output output(String out) throws IOException {
        long[] dims = fileDims.clone();
        dims[dims.length - 1] = shape.valueDim();
        return new Output(new NpyRows(out), dims);
    }

    /** The output's file or folder, which gets its name when it is complete. */
    static final class Output implements AutoCloseable {
        private final NpyRows file;

        Output(NpyRows file, long[] dims) throws IOException {
            this.file = file;
            if (file.isLocal()) {
                byte[] header = NpyHeader.format(DataType.FLOAT32, dims);
                try (RandomAccessFile made = new RandomAccessFile(partial(file).toFile(), "rw")) {
                    made.setLength(header.length + count(dims) * Float.BYTES);
                    made.write(header);
                }
                return;
            }
            FileSystem system = file.fileSystem();
            if (system.exists(new Path(file.path()))) {
                throw new InvalidInputException(file.path() + " is there already, and parts of an output are not mixed with another's; remove it, or "
                        + "name another folder");
            }
            system.delete(partialFolder(file), true); // of a run that was killed
            system.mkdirs(partialFolder(file));
        }

        static java.nio.file.Path partial(NpyRows file) {
            return file.local().resolveSibling("." + file.local().getFileName() + ".partial");
        }

        static Path partialFolder(NpyRows file) {
            Path path = new Path(file.path());
            return new Path(path.getParent(), "." + path.getName() + ".partial");
        }

        void commit() throws IOException {
            if (file.isLocal()) {
                Files.move(partial(file), file.local(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } else if (!file.fileSystem().rename(partialFolder(file), new Path(file.path()))) {
                throw new IOException(partialFolder(file) + " cannot be renamed to " + file.path());
            }
        }

        @Override
        public void close() throws IOException {
            if (file.isLocal()) {
                Files.deleteIfExists(partial(file));
            } else {
                file.fileSystem().delete(partialFolder(file), true);
            }
        }
    }

    private record FileShard(SparkFiles files, Piece piece, String out) implements Shard {
        @Override
        public LlaInputs inputs() throws IOException {
            AttentionShape whole = files.shape;
            AttentionShape own = piece.shape(whole);
            long key = (long) piece.fromHead() * whole.keyLength();
            Tensor q = queries(files.q, own.queryDims(), whole.headDim());
            Tensor k = files.k.read(key * whole.headDim(), own.keyDims());
            Tensor v = files.v.read(key * whole.valueDim(), own.valueDims());
            LlaInputs inputs = new LlaInputs(q, k, v, files.ridge == null ? null : queries(files.ridge, own.rowDims(), 1));
            inputs.requireFinite();
            return inputs;
        }

        /** Rows of each query head's block, one behind the other. */
        private Tensor queries(NpyRows rows, long[] dims, int width) throws IOException {
            int heads = (int) dims[1];
            long headElements = (long) piece.queries() * width;
            if (heads == 1) {
                return rows.read(first(0) * width, dims);
            }
            Tensor all = null;
            for (int head = 0; head < heads; head++) {
                Tensor one = rows.read(first(head) * width, headElements);
                all = all == null ? Tensor.allocate(one.type(), dims) : all;
                MemorySegment.copy(one.segment(), 0, all.segment(), head * one.byteSize(), one.byteSize());
            }
            return all;
        }

        /** The first query of one of its heads, in the whole. */
        private long first(int head) {
            return ((long) piece.fromHead() * files.shape.group() + head) * files.shape.queryLength() + piece.fromQuery();
        }

        @Override
        public void store(LlaResult result) throws IOException {
            NpyRows target = new NpyRows(out);
            if (target.isLocal()) {
                java.nio.file.Path partial = Output.partial(target);
                try (FileChannel header = FileChannel.open(partial, StandardOpenOption.READ);
                        FileChannel to = FileChannel.open(partial, StandardOpenOption.WRITE)) {
                    long start = NpyHeader.read(header, out).dataOffset();
                    long headBytes = result.output().byteSize() / result.shape().heads();
                    for (int head = 0; head < result.shape().heads(); head++) {
                        long at = start + first(head) * files.shape.valueDim() * Float.BYTES;
                        ByteBuffer from = result.output().segment().asSlice(head * headBytes, headBytes).asByteBuffer();
                        while (from.hasRemaining()) {
                            at += to.write(from, at);
                        }
                    }
                }
                return;
            }
            Path part = new Path(Output.partialFolder(target), String.format(Locale.ROOT, "head-%06d-query-%010d.npy", piece.fromHead(), piece.fromQuery()));
            new NpyRows(part.toString()).write(result.output());
        }
    }
}
