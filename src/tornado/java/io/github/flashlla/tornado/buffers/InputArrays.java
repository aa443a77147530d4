package io.github.flashlla.tornado.buffers;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.device.Transfers;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The host's side of a plan's q, k, v and ridge: what a run copies there, and which of the arrays then have to reach the device. A row-major
 * float16 tensor goes as it is where there is room for halves, and a task of the graph widens it; any other goes as float32. What need not
 * be converted may go to the device from the caller's memory, without a copy here.
 */
public final class InputArrays {
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
        this.halves = half ? Stream.of(shape.queryDims(), shape.keyDims(), shape.valueDims()).parallel()
                .map(dims -> LlaBuffers.halves(LlaBuffers.elements(dims))).toList() : List.of();
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
     * Has a run's inputs copied, while what comes before goes to the device.
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
        Filling filling = new Filling();
        load(0, inputs.q(), buffers.q(), false, transfers, filling);
        load(1, inputs.k(), buffers.k(), sameKeys, transfers, filling);
        load(2, inputs.v(), buffers.v(), sameKeys, transfers, filling);
        filling.start();
        return transfers;
    }

    /** Has one tensor copied after what comes before, where it has to be. */
    private void load(int index, Tensor tensor, FloatArray single, boolean onDevice, Transfers transfers, Filling filling) {
        boolean asHalf = !halves.isEmpty() && tensor.type() == DataType.FLOAT16 && tensor.isRowMajor();
        widened.set(index, asHalf && !onDevice ? single.getSize() : 0);
        if (onDevice || asHalf) {
            transfers.spare(single);
        }
        if (!halves.isEmpty() && (onDevice || !asHalf)) {
            transfers.spare(halves.get(index));
        }
        boolean asItIs = asHalf || tensor.type() == DataType.FLOAT32 && tensor.isRowMajor();
        if (onDevice || inPlace && asItIs && transfers.from(asHalf ? halves.get(index) : single, tensor.segment())) {
            return;
        }
        if (asHalf) {
            HalfFloatArray half = halves.get(index);
            filling.add(half, tensor.size(), (at, count) -> copy(tensor, half, at, count), transfers);
        } else {
            filling.add(single, tensor.size(), (at, count) -> FloatArrays.load(tensor, single, at, count), transfers);
        }
    }

    /**
     * Has a tensor copied to an array while what is there of it goes to the device.
     *
     * @param dim elements of a row
     * @param without rows that are 0 in the array
     */
    public static void load(Tensor from, FloatArray to, int dim, BitSet without, Transfers transfers) {
        Filling filling = new Filling();
        filling.add(to, from.size(), (at, count) -> {
            FloatArrays.load(from, to, at, count);
            FloatArrays.clearRows(to, dim, without, at, count);
        }, transfers);
        filling.start();
    }

    private static void copy(Tensor tensor, HalfFloatArray to, long at, int count) {
        MemorySegment.copy(tensor.segment(), at * Short.BYTES, to.getSegment(), at * Short.BYTES, (long) count * Short.BYTES);
    }
}
