package io.github.flashlla;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Elements of every type in memory, one by one and side by side; positions are counted in elements. */
final class Elements {
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int BLOCK = 4096;
    /** Of each thread: a new array for every block is 2 bytes of fresh memory an element, whose first touch takes thirty times as long as the conversion. */
    private static final ThreadLocal<short[]> BITS = ThreadLocal.withInitial(() -> new short[BLOCK]);

    private Elements() {}

    /** Widened to float64. */
    static double get(DataType type, MemorySegment segment, long index) {
        return switch (type) {
            case FLOAT64 -> segment.getAtIndex(DOUBLE, index);
            case FLOAT32 -> segment.getAtIndex(FLOAT, index);
            case FLOAT16 -> Float.float16ToFloat(segment.getAtIndex(SHORT, index));
            case BFLOAT16 -> bfloat16ToFloat(segment.getAtIndex(SHORT, index));
        };
    }

    /** Rounded to nearest even. */
    static void set(DataType type, MemorySegment segment, long index, double value) {
        switch (type) {
            case FLOAT64 -> segment.setAtIndex(DOUBLE, index, value);
            case FLOAT32 -> segment.setAtIndex(FLOAT, index, (float) value);
            case FLOAT16 -> segment.setAtIndex(SHORT, index, Float.floatToFloat16((float) value));
            case BFLOAT16 -> segment.setAtIndex(SHORT, index, floatToBfloat16((float) value));
        }
    }

    /** Copies to the heap as float32, whole blocks at a time. */
    static void load(DataType type, MemorySegment segment, long from, float[] target, int at, int count) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(segment, FLOAT, from * Float.BYTES, target, at, count);
            case FLOAT64 -> {
                for (int i = 0; i < count; i++) {
                    target[at + i] = (float) segment.getAtIndex(DOUBLE, from + i);
                }
            }
            case FLOAT16, BFLOAT16 -> {
                short[] bits = BITS.get();
                for (int i = 0; i < count; i += bits.length) {
                    int length = Math.min(bits.length, count - i);
                    MemorySegment.copy(segment, SHORT, (from + i) * Short.BYTES, bits, 0, length);
                    widen(type, bits, target, at + i, length);
                }
            }
        }
    }

    private static void widen(DataType type, short[] bits, float[] target, int at, int length) {
        if (type == DataType.FLOAT16) {
            for (int i = 0; i < length; i++) {
                target[at + i] = Float.float16ToFloat(bits[i]);
            }
        } else {
            for (int i = 0; i < length; i++) {
                target[at + i] = bfloat16ToFloat(bits[i]);
            }
        }
    }

    /** Copies from the heap, rounded to the type, whole blocks at a time. */
    static void store(DataType type, float[] source, int at, MemorySegment segment, long to, int count) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(source, at, segment, FLOAT, to * Float.BYTES, count);
            case FLOAT64 -> {
                for (int i = 0; i < count; i++) {
                    segment.setAtIndex(DOUBLE, to + i, source[at + i]);
                }
            }
            case FLOAT16, BFLOAT16 -> {
                short[] bits = BITS.get();
                for (int i = 0; i < count; i += bits.length) {
                    int length = Math.min(bits.length, count - i);
                    narrow(type, source, at + i, bits, length);
                    MemorySegment.copy(bits, 0, segment, SHORT, (to + i) * Short.BYTES, length);
                }
            }
        }
    }

    private static void narrow(DataType type, float[] source, int at, short[] bits, int length) {
        if (type == DataType.FLOAT16) {
            for (int i = 0; i < length; i++) {
                bits[i] = Float.floatToFloat16(source[at + i]);
            }
        } else {
            for (int i = 0; i < length; i++) {
                bits[i] = floatToBfloat16(source[at + i]);
            }
        }
    }

    private static float bfloat16ToFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    private static short floatToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
