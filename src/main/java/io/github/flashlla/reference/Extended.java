package io.github.flashlla.reference;

/**
 * A vector of numbers of about 32 digits, each the sum of two float64: what a small ridge cancels in float64 is still there.
 * Sums are right to 2^-104 of their terms' sizes.
 */
final class Extended {
    final double[] hi;
    final double[] lo;

    Extended(int length) {
        this.hi = new double[length];
        this.lo = new double[length];
    }

    void set(int i, Sum sum) {
        hi[i] = sum.hi;
        lo[i] = sum.lo;
    }

    double[] rounded() {
        return hi.clone();
    }

    boolean isFinite() {
        for (double value : hi) {
            if (!Double.isFinite(value)) {
                return false;
            }
        }
        return true;
    }

    /** sum of left[at + i] right[i] */
    static Sum dot(Extended left, int at, Extended right, int count) {
        Sum sum = new Sum();
        for (int i = 0; i < count; i++) {
            sum.addProduct(left.hi[at + i], left.lo[at + i], right.hi[i], right.lo[i]);
        }
        return sum;
    }

    /** One number that is added to. */
    static final class Sum {
        double hi;
        double lo;

        Sum() {}

        Sum(double hi, double lo) {
            this.hi = hi;
            this.lo = lo;
        }

        Sum add(double h, double l) {
            double s = hi + h;
            double part = s - hi;
            double rest = (hi - (s - part)) + (h - part) + (lo + l);
            hi = s + rest;
            lo = rest - (hi - s);
            return this;
        }

        Sum addProduct(double ah, double al, double bh, double bl) {
            double product = ah * bh;
            return add(product, Math.fma(ah, bh, -product) + (ah * bl + al * bh));
        }

        Sum times(double h, double l) {
            double product = hi * h;
            double rest = Math.fma(hi, h, -product) + (hi * l + lo * h);
            hi = product + rest;
            lo = rest - (hi - product);
            return this;
        }

        Sum over(double h, double l) {
            double first = hi / h;
            Sum rest = new Sum(hi, lo).addProduct(-first, 0, h, l);
            double second = rest.hi / h;
            hi = first + second;
            lo = second - (hi - first);
            return this;
        }

        Sum root() {
            double first = Math.sqrt(hi);
            double rest = new Sum(hi, lo).addProduct(-first, 0, first, 0).hi / (2 * first);
            hi = first + rest;
            lo = rest - (hi - first);
            return this;
        }
    }
}
