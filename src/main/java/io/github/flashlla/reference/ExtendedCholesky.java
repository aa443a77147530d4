package io.github.flashlla.reference;

/**
 * A = L L^T in {@link Extended} digits. No pivot of A = (a covariance) + ridge I is below the ridge, so a pivot that
 * rounding pushed below is raised to it: the factor always exists.
 */
final class ExtendedCholesky {
    private final int d;
    private final Extended l;

    /** @param a lower half of A, row-major; becomes L */
    ExtendedCholesky(Extended a, int d, double ridge) {
        this.d = d;
        this.l = a;
        for (int c = 0; c < d; c++) {
            Extended.Sum pivot = reduced(c, c);
            if (!(pivot.hi >= ridge)) {
                pivot = new Extended.Sum(ridge, 0);
            }
            pivot.root();
            a.set(c * d + c, pivot);
            for (int r = c + 1; r < d; r++) {
                a.set(r * d + c, reduced(r, c).over(pivot.hi, pivot.lo));
            }
        }
    }

    private Extended.Sum reduced(int r, int c) {
        Extended.Sum sum = new Extended.Sum(l.hi[r * d + c], l.lo[r * d + c]);
        for (int i = 0; i < c; i++) {
            sum.addProduct(-l.hi[r * d + i], -l.lo[r * d + i], l.hi[c * d + i], l.lo[c * d + i]);
        }
        return sum;
    }

    /** A^-1 right */
    Extended solve(Extended right) {
        Extended x = new Extended(d);
        for (int r = 0; r < d; r++) {
            Extended.Sum sum = new Extended.Sum(right.hi[r], right.lo[r]);
            for (int c = 0; c < r; c++) {
                sum.addProduct(-l.hi[r * d + c], -l.lo[r * d + c], x.hi[c], x.lo[c]);
            }
            x.set(r, sum.over(l.hi[r * d + r], l.lo[r * d + r]));
        }
        for (int r = d - 1; r >= 0; r--) {
            Extended.Sum sum = new Extended.Sum(x.hi[r], x.lo[r]);
            for (int c = r + 1; c < d; c++) {
                sum.addProduct(-l.hi[c * d + r], -l.lo[c * d + r], x.hi[c], x.lo[c]);
            }
            x.set(r, sum.over(l.hi[r * d + r], l.lo[r * d + r]));
        }
        return x;
    }
}
