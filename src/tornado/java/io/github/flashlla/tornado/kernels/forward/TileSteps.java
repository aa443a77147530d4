package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TileState;

/**
 * The last step of a row's solve, which no sweep over the keys measures. The next direction d = r - (r.A y / y.A y) y - (r.A q / q.A q) q is known
 * behind a sweep, how far to go along it is not: r.r / d.A d needs another. But where iterations have divided r.r by much each time, and
 * r.r / d.A d has been about the same in all of them, the next will be so, too: then x goes as far as the last time, and the row is done a sweep earlier.
 */
final class TileSteps {
    /** An iteration whose r.r is more than this part of the one's before tells nothing. */
    private static final float FAST = 0.1f;
    /** What a ratio of r.r counts, for the next may be larger. */
    private static final float MARGIN = 1.5f;
    /** What the square of the steps' spread counts beside it. */
    private static final float UNEVEN = 2f;

    private static final float TINY = 1e-30f;

    private TileSteps() {}

    /** 1 / x, large where x is 0. */
    static float inverse(float x) {
        float root = Tile.rsqrt(Math.max(x, TINY));
        return root * root;
    }

    /**
     * What r.r would be behind one more step, as long as the last one, by what r.r and the steps did so far; {@code rr} itself where they do not tell.
     *
     * @param steps a row's numbers from {@link TileState#RATIO} on, at {@code at}, {@code at + 1}, {@code at + 4}; brought up to date
     * @param ratio r.r over that before this iteration
     * @param step what r was multiplied with in this iteration's direction
     */
    static float foresee(float[] steps, int at, float rr, float ratio, float step, int count) {
        float slower = Math.max(steps[at], ratio);
        float least = Math.min(steps[at + 1], step);
        float most = Math.max(steps[at + 4], step);
        float spread = most * inverse(least) - 1f;
        float next = rr * (MARGIN * slower + UNEVEN * spread * spread);
        steps[at] = ratio;
        steps[at + 1] = count > 1 ? least : step; // the step along q was another kind
        steps[at + 4] = count > 1 ? most : step;
        return count != TileSolve.RESTART + 1 && slower <= FAST && next < rr ? next : rr;
    }
}
