package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.QuerySolves;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.LongStream;

/** The tensors of a divided problem in shared memory: the parent writes inputs and reads outputs, a part the other way round. */
final class Tensors {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    /** What a processor copies at a time: few enough that a piece of a few heads keeps all of them busy. */
    private static final long BLOCK_BYTES = 256L << 10;
    private static final int BLOCK_ELEMENTS = 1 << 16;
    /** Never started: stands for any thread but the caller's. */
    private static final Thread OTHER_THREAD = new Thread(() -> { });

    private final Layout layout;
    private final AttentionShape whole;
    private final MemorySegment inputs;
    private final MemorySegment outputs;
    private final Map<Part, Long> starts;
    /** The largest elements that each tensor had; other tensors take no room. */
    private final Map<Part, Integer> touched = new ConcurrentHashMap<>();

    Tensors(Layout layout, MemorySegment inputs, MemorySegment outputs) {
        this.layout = layout;
        this.whole = layout.whole();
        this.inputs = inputs;
        this.outputs = outputs;
        this.starts = layout.starts();
    }

    Layout layout() {
        return layout;
    }

    /** Bytes of the tensors that were written or read so far, on this side. */
    long touchedBytes() {
        return touched.entrySet().stream().mapToLong(one -> layout.rows(one.getKey(), layout.pieces().size()) * one.getKey().width(whole)
                * one.getValue()).sum();
    }

    /** A piece's own tensor, in shared memory. */
    Tensor of(Part part, int piece, DataType type) {
        return Tensor.wrap(segment(part, piece, type.bytes()), type, layout.dims(part, piece));
    }

    private MemorySegment segment(Part part, int piece, int elementBytes) {
        touched.merge(part, elementBytes, Math::max);
        long elements = 1;
        for (long dim : layout.dims(part, piece)) {
            elements *= dim;
        }
        return (part.input() ? inputs : outputs).asSlice(starts.get(part) + layout.rows(part, piece) * part.width(whole) * elementBytes,
                elements * elementBytes);
    }

    /** Parent: writes a piece's rows of a row-major tensor of the whole problem; of keys and values, those of the piece's heads. */
    void write(Part part, Tensor from, int piece) {
        int bytes = from.type().bytes();
        long rowBytes = (long) part.width(whole) * bytes;
        if (part == Part.K || part == Part.V) {
            long first = layout.rows(part, piece) * rowBytes;
            long length = (long) layout.pieces().get(piece).heads() * whole.keyLength() * rowBytes;
            touched.merge(part, bytes, Math::max);
            copy(from.segment(), first, inputs, starts.get(part) + first, length);
            return;
        }
        MemorySegment to = segment(part, piece, bytes);
        forEachRun(piece, (pieceRow, row, rows) -> copy(from.segment(), row * rowBytes, to, pieceRow * rowBytes, rows * rowBytes));
    }

    /** Parent: writes all rows of a tensor that belongs to queries. */
    void write(Part part, Tensor given) {
        Tensor from = given.rowMajor();
        for (int piece = 0; piece < layout.pieces().size(); piece++) {
            write(part, from, piece);
        }
    }

    /** Parent: reads a piece's rows into a tensor of the whole problem that belongs to queries. */
    private void read(Part part, Tensor to, int piece) {
        long width = part.width(whole);
        Tensor from = of(part, piece, DataType.FLOAT32);
        forEachRun(piece, (pieceRow, row, rows) -> copy(from, pieceRow * width, to, row * width, rows * width));
    }

    /** Parent: reads gradients of the keys or values of whole heads, whose queries are all in one piece. */
    private void readOfHeads(Part part, Tensor to, int piece) {
        if (!layout.pieces().get(piece).sharesHead(whole)) {
            Tensor from = of(part, piece, DataType.FLOAT32);
            copy(from, 0, to, layout.pieces().get(piece).fromHead() * headElements(part), from.size());
        }
    }

    /** Parent: reads the others, summed over the pieces of a head in their order. */
    private void readSums(Part part, Tensor to) {
        int reached = 0;
        for (int n = 0; n < layout.pieces().size(); n++) {
            Piece piece = layout.pieces().get(n);
            if (!piece.sharesHead(whole)) {
                continue;
            }
            Tensor from = of(part, n, DataType.FLOAT32);
            long start = piece.fromHead() * headElements(part);
            if (piece.fromHead() < reached) {
                add(from, to, start);
                continue;
            }
            for (long i = from.size(); i < headElements(part); i++) { // the head's last keys, which this piece's queries do not see
                to.set(start + i, 0);
            }
            copy(from, 0, to, start, from.size());
            reached = piece.toHead();
        }
    }

    private long headElements(Part part) {
        return (long) whole.keyLength() * part.width(whole);
    }

    private static void add(Tensor from, Tensor to, long start) {
        for (long i = 0; i < from.size(); i++) {
            to.set(start + i, to.get(start + i) + from.get(i));
        }
    }

    /** Parent: what a piece's forward pass left. */
    void read(LlaResult result, int piece) {
        read(Part.OUTPUT, result.output(), piece);
        read(Part.LOG_SUM_EXP, result.logSumExp(), piece);
        if (result.keepsState()) {
            read(Part.KBAR, result.kbar(), piece);
            read(Part.X, result.x(), piece);
        }
        read(Part.ROUNDING, result.roundingError(), piece);
        read(result, piece, Part.ITERATIONS, Part.RESIDUAL, Part.RECURRENCE);
    }

    /** Parent: what all pieces' forward passes left. */
    void read(LlaResult result) {
        for (int piece = 0; piece < layout.pieces().size(); piece++) {
            read(result, piece);
        }
    }

    /** Parent: what a piece's backward pass left, without gradients of keys and values that it shares ({@link #readSums(LlaGradients)}). */
    void read(LlaGradients gradients, int piece) {
        read(Part.DQ, gradients.dq(), piece);
        read(Part.DRIDGE, gradients.dridge(), piece);
        readOfHeads(Part.DK, gradients.dk(), piece);
        readOfHeads(Part.DV, gradients.dv(), piece);
        read(gradients, piece, Part.BACKWARD_ITERATIONS, Part.BACKWARD_RESIDUAL, Part.BACKWARD_RECURRENCE);
    }

    /** Parent: gradients of keys and values that pieces share, once all have left theirs. */
    void readSums(LlaGradients gradients) {
        readSums(Part.DK, gradients.dk());
        readSums(Part.DV, gradients.dv());
    }

    private void read(QuerySolves solves, int piece, Part iterations, Part residual, Part recurrence) {
        MemorySegment from = segment(iterations, piece, Integer.BYTES);
        forEachRun(piece, (pieceRow, row, rows) -> MemorySegment.copy(from, INT, pieceRow * Integer.BYTES, solves.iterations(), (int) row,
                (int) rows));
        read(residual, solves.residual(), piece);
        read(recurrence, solves.recurrenceResidual(), piece);
    }

    private void read(Part part, float[] to, int piece) {
        MemorySegment from = segment(part, piece, Float.BYTES);
        forEachRun(piece, (pieceRow, row, rows) -> MemorySegment.copy(from, FLOAT, pieceRow * Float.BYTES, to, (int) row, (int) rows));
    }

    /**
     * Part: room for a piece's forward pass, whose output is where the parent reads it.
     *
     * @param exact whether the device's results are float64, so that they have to be rounded on the way to the parent
     */
    LlaResult room(int piece, LlaPlan plan, boolean exact) {
        return exact ? plan.newResult() : new LlaResult(plan.shape(), of(Part.OUTPUT, piece, DataType.FLOAT32), plan.options().keepState());
    }

    /** Part: leaves a piece's forward pass. */
    void leave(int piece, LlaResult result) {
        if (result.output().memory().address() != segment(Part.OUTPUT, piece, Float.BYTES).address()) { // else it is there already
            leave(Part.OUTPUT, piece, result.output());
        }
        leave(Part.LOG_SUM_EXP, piece, result.logSumExp());
        if (result.keepsState()) {
            leave(Part.KBAR, piece, result.kbar());
            leave(Part.X, piece, result.x());
        }
        leave(Part.ROUNDING, piece, result.roundingError());
        leave(piece, result, Part.ITERATIONS, Part.RESIDUAL, Part.RECURRENCE);
    }

    /** Part: leaves a piece's backward pass. */
    void leave(int piece, LlaGradients gradients) {
        leave(Part.DQ, piece, gradients.dq());
        leave(Part.DRIDGE, piece, gradients.dridge());
        leave(Part.DK, piece, gradients.dk());
        leave(Part.DV, piece, gradients.dv());
        leave(piece, gradients, Part.BACKWARD_ITERATIONS, Part.BACKWARD_RESIDUAL, Part.BACKWARD_RECURRENCE);
    }

    private void leave(int piece, QuerySolves solves, Part iterations, Part residual, Part recurrence) {
        MemorySegment.copy(solves.iterations(), 0, segment(iterations, piece, Integer.BYTES), INT, 0, solves.iterations().length);
        leave(residual, piece, solves.residual());
        leave(recurrence, piece, solves.recurrenceResidual());
    }

    private void leave(Part part, int piece, float[] values) {
        MemorySegment.copy(values, 0, segment(part, piece, Float.BYTES), FLOAT, 0, values.length);
    }

    private void leave(Part part, int piece, Tensor from) {
        copy(from, 0, of(part, piece, DataType.FLOAT32), 0, from.size());
    }

    /** Rows that follow each other in a piece and in the whole. */
    private interface Run {
        void of(long pieceRow, long row, long rows);
    }

    private void forEachRun(int number, Run run) {
        Piece piece = layout.pieces().get(number);
        int heads = piece.heads() * whole.group();
        long first = (long) piece.fromHead() * whole.group() * whole.queryLength() + piece.fromQuery();
        if (!piece.sharesHead(whole)) {
            run.of(0, first, (long) heads * whole.queryLength());
            return;
        }
        for (int head = 0; head < heads; head++) {
            run.of((long) head * piece.queries(), first + (long) head * whole.queryLength(), piece.queries());
        }
    }

    private static void copy(Tensor from, long at, Tensor to, long toAt, long count) {
        if (from.type() == to.type() && to.isRowMajor()) {
            int bytes = from.type().bytes();
            copy(from.segment(), at * bytes, to.segment(), toAt * bytes, count * bytes);
            return;
        }
        float[] values = new float[BLOCK_ELEMENTS];
        for (long done = 0; done < count; done += BLOCK_ELEMENTS) {
            int length = (int) Math.min(BLOCK_ELEMENTS, count - done);
            from.copyTo(at + done, values, 0, length);
            to.copyFrom(values, 0, toAt + done, length);
        }
    }

    /** Copies on all processors where neither memory is confined to one thread: a gigabyte takes a thread a quarter of a second. */
    private static void copy(MemorySegment from, long at, MemorySegment to, long toAt, long bytes) {
        LongStream blocks = LongStream.range(0, Math.ceilDiv(bytes, BLOCK_BYTES));
        boolean shared = from.isAccessibleBy(OTHER_THREAD) && to.isAccessibleBy(OTHER_THREAD);
        (shared ? blocks.parallel() : blocks).forEach(n -> MemorySegment.copy(from, at + n * BLOCK_BYTES, to, toAt + n * BLOCK_BYTES,
                Math.min(BLOCK_BYTES, bytes - n * BLOCK_BYTES)));
    }
}
