package io.github.flashlla.jvm.decode;

/** One query head's vectors, all of padded width. */
final class Head {
    final float[] q;
    final float[] scaledQ;
    /** The key that the moments are about, and kbar less it. */
    final float[] c;
    final float[] zbar;
    final float[] x;
    final float[] r;
    final float[] y;
    final float[] ay;
    /** A q: q is the solve's first direction, and the others are kept conjugate to it. */
    final float[] aq;
    final float[] o;
    float max;
    /** 1 / sum w */
    float perWeight;
    float logSumExp;
    float ridge;
    boolean active;
    int iterations;
    double residual;
    double rr;
    double bb;
    double qAq;
    /** zbar . y, or zbar . x in the last pass: what turns a product with k - c into one with k - kbar. */
    float shift;
    /** The last step's length, by which slopes are behind. */
    float step;
    /** Whether weights are weights, and no longer scores. */
    boolean weighed;

    Head(int dim, int valueDim) {
        q = new float[dim];
        scaledQ = new float[dim];
        c = new float[dim];
        zbar = new float[dim];
        x = new float[dim];
        r = new float[dim];
        y = new float[dim];
        ay = new float[dim];
        aq = new float[dim];
        o = new float[valueDim];
    }
}
