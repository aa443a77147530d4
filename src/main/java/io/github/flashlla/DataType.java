package io.github.flashlla;

/** Element types of a {@link Tensor}, all little-endian in memory. */
public enum DataType {
    /** IEEE 754 binary64: what the reference computes in, and what {@code <f8} files hold. */
    FLOAT64(8),
    /** IEEE 754 binary32: what every device computes in. */
    FLOAT32(4),
    /** IEEE 754 binary16. */
    FLOAT16(2),
    /** The upper half of a binary32. */
    BFLOAT16(2);

    private final int bytes;

    DataType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }
}
