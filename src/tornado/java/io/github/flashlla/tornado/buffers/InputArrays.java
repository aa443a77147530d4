package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.device.Transfers;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The host's side of a plan's q, k, v and ridge: what a run copies there, and which of the arrays then have to reach the device. A row-major
 * float16 tensor goes as it is where there is room for halves, and a task of the graph widens it; any other goes as float32. What need not
 * be converted may go to the device from the caller's memory, without a copy here.
 */
public final class InputArrays {
    /** Elements that are copied in less time than another thread takes to start. */
    private static final int WORTH_ANOTHER_THREAD = 1 << 18;

    private final LlaBuffers buffers;
    private final boolean inPlace;
    /** q, k and v as float16; empty where they are always sent as float32. */
    private final List<HalfFloatArray> halves;
    /** Elements of each that the next run widens; 0 where it is not new, or came as float32. */
    private final IntArray widened = new IntArray(3);
    private boolean sharedRidge;

    /**
     * @param half whether the device has a half type, and its kernels are to compute in it
     * @param inPlace whether tensors that lie as the device wants them are sent from where they are
     */
    public InputArrays(LlaBuffers buffers, AttentionShape shape, boolean half, boolean inPlace) {
        this.buffers = buffers;
        this.inPlace = inPlace;
        this.halves = half ? List.of(LlaBuffers.halves(LlaBuffers.elements(shape.queryDims())), LlaBuffers.halves(LlaBuffers.elements(shape.keyDims())),
                LlaBuffers.halves(LlaBuffers.elements(shape.valueDims()))) : List.of();
    }

    /** Bytes beyond the float32 arrays. */
    public static long bytes(AttentionShape shape, boolean half) {
        return half ? (LlaBuffers.elements(shape.queryDims()) + LlaBuffers.elements(shape.keyDims()) + LlaBuffers.elements(shape.valueDims()))
                * Short.BYTES : 0;
    }

    /** Every array that a run may have to send. */
    public Object[] all() {
        List<Object> all = new ArrayList<>(List.of(buffers.q(), buffers.k(), buffers.v(), buffers.ridge()));
        if (!halves.isEmpty()) {
            all.addAll(halves);
            all.add(widened);
        }
        return all.toArray();
    }

    /** Whether tensors that lie as the device wants them are sent from where they are. */
    public boolean inPlace() {
        return inPlace;
    }

    /** Empty where nothing is ever widened. */
    public List<HalfFloatArray> halves() {
        return halves;
    }

    public IntArray widened() {
        return widened;
    }

    /**
     * Copies a run's inputs: q before this returns, k and v while what comes before them goes to the device.
     *
     * @param sameKeys whether the device has k and v of these inputs already
     * @return which arrays the device need not get, and what the others wait for
     */
    public Transfers load(LlaInputs inputs, LlaOptions options, boolean sameKeys) {
        Transfers transfers = new Transfers();
        if (inputs.ridge() != null) {
            FloatArrays.load(inputs.ridge(), buffers.ridge());
            sharedRidge = false;
        } else if (sharedRidge) {
            transfers.spare(buffers.ridge());
        } else {
            buffers.ridge().init((float) options.ridge());
            sharedRidge = true;
        }
        CompletableFuture<?> filled = load(0, inputs.q(), buffers.q(), false, transfers, CompletableFuture.completedFuture(null));
        filled = load(1, inputs.k(), buffers.k(), sameKeys, transfers, filled);
        load(2, inputs.v(), buffers.v(), sameKeys, transfers, filled);
        return transfers;
    }

    /** Copies one tensor after what comes before, the first and small ones on this thread; what comes after has to wait for the result. */
    private CompletableFuture<?> load(int index, Tensor tensor, FloatArray single, boolean onDevice, Transfers transfers, CompletableFuture<?> before) {
        boolean asHalf = !halves.isEmpty() && tensor.type() == DataType.FLOAT16 && tensor.isRowMajor();
        widened.set(index, asHalf && !onDevice ? single.getSize() : 0);
        if (onDevice || asHalf) {
            transfers.spare(single);
        }
        if (!halves.isEmpty() && (onDevice || !asHalf)) {
            transfers.spare(halves.get(index));
        }
        if (onDevice) {
            return before;
        }
        boolean asItIs = asHalf || tensor.type() == DataType.FLOAT32 && tensor.isRowMajor();
        if (inPlace && asItIs && transfers.from(asHalf ? halves.get(index) : single, tensor.segment())) {
            return before;
        }
        Runnable filling = () -> {
            if (asHalf) {
                copy(tensor, halves.get(index));
            } else {
                FloatArrays.load(tensor, single);
            }
        };
        boolean here = index == 0 || tensor.size() < WORTH_ANOTHER_THREAD;
        CompletableFuture<?> filled = here ? before.thenRun(filling) : before.thenRunAsync(filling);
        transfers.fill(asHalf ? halves.get(index) : single, filled);
        return filled;
    }

    private static void copy(Tensor tensor, HalfFloatArray to) {
        MemorySegment elements = to.getSegment();
        tensor.inBlocks((at, count) -> MemorySegment.copy(tensor.segment(), at * Short.BYTES, elements, at * Short.BYTES, (long) count * Short.BYTES));
    }
}
