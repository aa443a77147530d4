package io.github.flashlla.precise;

/** Loops over vectors in float64: several sums side by side, so that no addition waits for the one before. */
public final class DoubleLoops {
    /** Of each thread. */
    private static final ThreadLocal<double[]> SQUARES = ThreadLocal.withInitial(() -> new double[1 << 12]);

    private DoubleLoops() {}

    /** left . right over {@code count} elements of each, from where they start. */
    static double dot(double[] left, int atLeft, double[] right, int atRight, int count) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            s0 += left[atLeft + i] * right[atRight + i];
            s1 += left[atLeft + i + 1] * right[atRight + i + 1];
            s2 += left[atLeft + i + 2] * right[atRight + i + 2];
            s3 += left[atLeft + i + 3] * right[atRight + i + 3];
        }
        for (; i < count; i++) {
            s0 += left[atLeft + i] * right[atRight + i];
        }
        return (s0 + s1) + (s2 + s3);
    }

    /** The same of float32 elements, whose products are exact. */
    public static double dot(float[] left, int atLeft, float[] right, int atRight, int count) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            s0 += (double) left[atLeft + i] * right[atRight + i];
            s1 += (double) left[atLeft + i + 1] * right[atRight + i + 1];
            s2 += (double) left[atLeft + i + 2] * right[atRight + i + 2];
            s3 += (double) left[atLeft + i + 3] * right[atRight + i + 3];
        }
        for (; i < count; i++) {
            s0 += (double) left[atLeft + i] * right[atRight + i];
        }
        return (s0 + s1) + (s2 + s3);
    }

    /**
     * ||row|| of each row of {@code d} elements, {@code count} elements in all. The first loop becomes vectors, but not within a caller's loop: this
     * method is longer than what the JIT puts there (325 bytecodes).
     *
     * @param norms gets them from {@code at} on
     */
    public static void rowNorms(float[] rows, int count, int d, double[] norms, int at) {
        double[] squares = squares(count);
        for (int i = 0; i < count; i++) {
            double element = rows[i];
            squares[i] = element * element;
        }
        int i = 0;
        for (int row = 0; row * d < count; row++) {
            int end = i + d;
            double s0 = 0;
            double s1 = 0;
            double s2 = 0;
            double s3 = 0;
            double s4 = 0;
            double s5 = 0;
            double s6 = 0;
            double s7 = 0;
            double s8 = 0;
            double s9 = 0;
            double s10 = 0;
            double s11 = 0;
            double s12 = 0;
            double s13 = 0;
            double s14 = 0;
            double s15 = 0;
            for (; i + 16 <= end; i += 16) {
                s0 += squares[i];
                s1 += squares[i + 1];
                s2 += squares[i + 2];
                s3 += squares[i + 3];
                s4 += squares[i + 4];
                s5 += squares[i + 5];
                s6 += squares[i + 6];
                s7 += squares[i + 7];
                s8 += squares[i + 8];
                s9 += squares[i + 9];
                s10 += squares[i + 10];
                s11 += squares[i + 11];
                s12 += squares[i + 12];
                s13 += squares[i + 13];
                s14 += squares[i + 14];
                s15 += squares[i + 15];
            }
            for (; i < end; i++) {
                s0 += squares[i];
            }
            norms[at + row] = Math.sqrt((s0 + s1 + (s2 + s3) + (s4 + s5 + (s6 + s7))) + (s8 + s9 + (s10 + s11) + (s12 + s13 + (s14 + s15))));
        }
    }

    private static double[] squares(int count) {
        double[] squares = SQUARES.get();
        if (squares.length < count) {
            squares = new double[count];
            SQUARES.set(squares);
        }
        return squares;
    }

    /** ||vector - centre||^2 over {@code count} elements. */
    static double squaredDistance(float[] vector, int at, double[] centre, int count) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            double d0 = vector[at + i] - centre[i];
            double d1 = vector[at + i + 1] - centre[i + 1];
            double d2 = vector[at + i + 2] - centre[i + 2];
            double d3 = vector[at + i + 3] - centre[i + 3];
            s0 += d0 * d0;
            s1 += d1 * d1;
            s2 += d2 * d2;
            s3 += d3 * d3;
        }
        for (; i < count; i++) {
            double difference = vector[at + i] - centre[i];
            s0 += difference * difference;
        }
        return (s0 + s1) + (s2 + s3);
    }

    /** to += factor * from, over all of {@code to}. */
    static void add(double[] to, double factor, double[] from, int at) {
        for (int i = 0; i < to.length; i++) {
            to[i] += factor * from[at + i];
        }
    }

    /** to += sum_j weights_j row j, for {@code n} rows of as many elements as {@code to} has. */
    static void addRows(double[] to, double[] weights, double[] rows, int n) {
        int d = to.length;
        int j = 0;
        for (; j + 4 <= n; j += 4) {
            double w0 = weights[j];
            double w1 = weights[j + 1];
            double w2 = weights[j + 2];
            double w3 = weights[j + 3];
            int at = j * d;
            for (int i = 0; i < d; i++) {
                to[i] += w0 * rows[at + i] + w1 * rows[at + d + i] + (w2 * rows[at + 2 * d + i] + w3 * rows[at + 3 * d + i]);
            }
        }
        for (; j < n; j++) {
            add(to, weights[j], rows, j * d);
        }
    }

    /** products_j = left . row j, for {@code n} rows of {@code d} elements, eight rows at a time. */
    static void dots(double[] left, double[] rows, int n, int d, double[] products) {
        int j = 0;
        for (; j + 8 <= n; j += 8) {
            double s0 = 0;
            double s1 = 0;
            double s2 = 0;
            double s3 = 0;
            double s4 = 0;
            double s5 = 0;
            double s6 = 0;
            double s7 = 0;
            int at = j * d;
            for (int c = 0; c < d; c++, at++) {
                double factor = left[c];
                s0 += factor * rows[at];
                s1 += factor * rows[at + d];
                s2 += factor * rows[at + 2 * d];
                s3 += factor * rows[at + 3 * d];
                s4 += factor * rows[at + 4 * d];
                s5 += factor * rows[at + 5 * d];
                s6 += factor * rows[at + 6 * d];
                s7 += factor * rows[at + 7 * d];
            }
            products[j] = s0;
            products[j + 1] = s1;
            products[j + 2] = s2;
            products[j + 3] = s3;
            products[j + 4] = s4;
            products[j + 5] = s5;
            products[j + 6] = s6;
            products[j + 7] = s7;
        }
        for (; j < n; j++) {
            products[j] = dot(left, 0, rows, j * d, d);
        }
    }

    static double norm(double[] vector) {
        return Math.sqrt(dot(vector, 0, vector, 0, vector.length));
    }
}
