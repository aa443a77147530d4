package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.function.IntPredicate;

/**
 * Holds one answer against float64: right, said to be inexact, or wrong, which is beyond the bar without a word.
 *
 * @param kind the verdict
 * @param what tensor or sentence it is about
 * @param error ||found - want|| / ||want|| of what is told of least
 * @param bar what it was held against
 */
public record ProblemCheck(Kind kind, String what, double error, double bar) {
    private static final double OUTPUT_BAR = 1e-4;
    private static final double GRADIENT_BAR = 1e-3;
    private static final double TWIN_BAR = 1e-5;
    private static final double PER_ROW = 10;
    /** A solve that reaches a tolerance above the usual one can be wrong by a small multiple of it. */
    private static final double PER_TOLERANCE = 10;
    /** Gradients, which have A^-1 in them twice, by more. */
    private static final double GRADIENT_PER_TOLERANCE = 100;
    /** Of kbar, which needs no solve. */
    private static final double MEAN_BAR = 1e-4;
    /** Of log-sum-exp, for scores of up to 10, in units of it and of the largest score beyond. */
    private static final double WEIGHT_BAR = 1e-6;
    private static final double SCORES = 10;
    /** A gradient below this part of its terms is 0, and holds no more than {@link #NOISE} of them. */
    private static final double NOTHING = 1e-11;
    private static final double NOISE = 1e-5;
    /** One number dridge_i = -u.x can be 0 by chance: what is below this part of ||u|| ||x|| is held to it, ||dq|| for ||u||. */
    private static final double CHANCE = 0.01;
    /** Scores up to this size are held to the bar; larger ones lose digits in float32 in proportion. */
    private static final double PLAIN_SCORE = 50;

    /** The verdict. */
    public enum Kind {
        RIGHT, SAID, WRONG
    }

    /** Runs a problem, and its twin where it has one, on a device. */
    static ProblemCheck of(ProblemPlans plans, RandomProblem problem) {
        ProblemAnswer want;
        try {
            want = Oracle.answer(problem);
        } catch (InvalidInputException | DeviceException e) {
            return new ProblemCheck(Kind.SAID, "reference: " + e.getMessage(), Double.NaN, 0);
        }
        try {
            ProblemAnswer found = ProblemAnswer.of(plans, problem);
            double largest = largestScore(problem);
            double slack = Math.max(1, largest / PLAIN_SCORE);
            double tolerance = problem.options().tolerance();
            double outputBar = slack * Math.max(OUTPUT_BAR, PER_TOLERANCE * tolerance);
            double gradientBar = slack * Math.max(GRADIENT_BAR, GRADIENT_PER_TOLERANCE * tolerance);
            ProblemCheck check = worse(compare("", problem, found, want, outputBar, gradientBar, found),
                    state(found.forward(), want.forward(), largest, MEAN_BAR * slack));
            if (check.kind != Kind.RIGHT || problem.twin() == RandomProblem.Twin.NONE) {
                return check;
            }
            RandomProblem changed = problem.changed();
            ProblemAnswer twin = ProblemAnswer.of(plans, changed);
            return compare(problem.twin() + " twin's ", problem, twin, found, TWIN_BAR * slack, TWIN_BAR * slack, twin);
        } catch (InvalidInputException | DeviceException | UnsupportedOperationException e) {
            return new ProblemCheck(Kind.SAID, e.getMessage(), Double.NaN, 0);
        } catch (RuntimeException e) {
            return new ProblemCheck(Kind.WRONG, "a mistake in the program: " + e, Double.NaN, 0);
        }
    }

    /** Holds what needs no solve to float64: log-sum-exp, and kbar where it is kept. */
    private static ProblemCheck state(LlaResult found, LlaResult want, double largestScore, double meanBar) {
        double bar = WEIGHT_BAR * Math.max(SCORES, largestScore);
        double worst = 0;
        for (long row = 0; row < want.logSumExp().size(); row++) {
            double one = found.logSumExp().get(row);
            double other = want.logSumExp().get(row);
            worst = Math.max(worst, one == other ? 0 : Math.abs(one - other)); // NaN stays
        }
        if (!(worst <= bar)) {
            return new ProblemCheck(Kind.WRONG, "log-sum-exp", worst, bar);
        }
        return found.keepsState() ? part("kbar", found.kbar(), want.kbar(), 1, found.residual().length, meanBar, true, 0, 0, row -> false)
                : new ProblemCheck(Kind.RIGHT, "log-sum-exp", worst, bar);
    }

    private static ProblemCheck compare(String whose, RandomProblem problem, ProblemAnswer found, ProblemAnswer want, double outputBar,
            double gradientBar, ProblemAnswer says) {
        boolean isTwin = !whose.isEmpty();
        double f = Math.scalb(1.0, problem.exponent());
        boolean units = isTwin && problem.twin() == RandomProblem.Twin.UNITS;
        boolean sign = isTwin && problem.twin() == RandomProblem.Twin.SIGN;
        double g = isTwin && problem.twin() == RandomProblem.Twin.GRADIENT ? f : 1;
        double v = isTwin && problem.twin() == RandomProblem.Twin.VALUES ? f : 1;
        double tolerance = problem.options().tolerance();
        AttentionShape shape = problem.shape();
        int rows = Math.toIntExact(shape.rows());
        double rowSize = Math.sqrt(square(found.forward().output()) / rows);
        boolean told = found.forward().estimatedError() > outputBar; // NaN says nothing
        ProblemCheck check = part(whose + "o", found.forward().output(), want.forward().output(), v, rows, outputBar, true, 0, 0,
                row -> told || says.says(row, tolerance, outputBar * rowSize));
        LlaGradients mine = found.gradients();
        if (mine == null || check.kind == Kind.WRONG) {
            return check;
        }
        IntPredicate row = r -> says.says(r, tolerance, Double.POSITIVE_INFINITY);
        int perKvHead = shape.group() * shape.queryLength();
        int kvHeads = shape.batch() * shape.kvHeads();
        IntPredicate head = h -> {
            for (int r = h * perKvHead; r < (h + 1) * perKvHead; r++) {
                if (row.test(r)) {
                    return true;
                }
            }
            return false;
        };
        LlaGradients other = want.gradients();
        double k = units ? 1 / f : sign ? -1 : 1;
        Terms terms = Terms.of(problem, want);
        check = worse(check, part(whose + "dq", mine.dq(), other.dq(), k * g, rows, gradientBar, true, terms.dq, 0, row));
        check = worse(check, part(whose + "dk", mine.dk(), other.dk(), k * g, kvHeads, gradientBar, false, terms.dk, 0, head));
        check = worse(check, part(whose + "dv", mine.dv(), other.dv(), g, kvHeads, gradientBar, false, terms.dv, 0, head));
        double floor = gradientBar * CHANCE * Math.abs(k * k * g) * dridgeTerms(want);
        return worse(check, part(whose + "dridge", mine.dridge(), other.dridge(), k * k * g, rows, gradientBar, false, terms.dridge, floor,
                row));
    }

    /** sqrt(sum (||dq_i|| ||x_i||)^2), what each dridge_i is a difference of. */
    private static double dridgeTerms(ProblemAnswer want) {
        Tensor x = want.forward().x();
        Tensor dq = want.gradients().dq();
        int d = Math.toIntExact(x.dim(3));
        double sum = 0;
        for (long row = 0; row < x.size() / d; row++) {
            double xx = 0;
            double uu = 0;
            for (long at = row * d; at < (row + 1) * d; at++) {
                xx += x.get(at) * x.get(at);
                uu += dq.get(at) * dq.get(at);
            }
            sum += xx * uu;
        }
        return Math.sqrt(sum);
    }

    private static ProblemCheck worse(ProblemCheck one, ProblemCheck other) {
        return other.kind.compareTo(one.kind) > 0 ? other : one;
    }

    /**
     * Holds a tensor to the bar, and each part of the output to {@link #PER_ROW} times its share. What is beyond it must be of
     * parts that say so: those that say nothing must be within it by themselves.
     */
    private static ProblemCheck part(String name, Tensor found, Tensor want, double factor, int parts, double bar, boolean eachRow,
            double terms, double noise, IntPredicate says) {
        int width = Math.toIntExact(want.size() / parts);
        double total = 0;
        double silent = 0;
        double[] misses = new double[parts];
        double size = factor * factor * square(want);
        for (int part = 0; part < parts; part++) {
            for (long i = (long) part * width; i < (long) (part + 1) * width; i++) {
                double miss = found.get(i) - factor * want.get(i);
                misses[part] += miss * miss;
            }
            total += misses[part];
            silent += misses[part] > 0 && says.test(part) ? 0 : misses[part];
        }
        if (!Double.isFinite(total)) {
            return new ProblemCheck(Kind.WRONG, name + " is not finite", Double.NaN, bar);
        }
        // what is 0 but for rounding has no relative error; a float32 below 2^-126 has few digits
        double floor = Math.scalb(1.0, -126) * Math.max(1, Math.abs(factor)) * Math.sqrt(want.size()) + noise;
        if (Math.sqrt(square(want)) < NOTHING * terms) {
            floor = Math.max(floor, NOISE * Math.abs(factor) * terms);
        }
        if (Math.sqrt(silent) > bar * Math.sqrt(size) + floor) {
            return new ProblemCheck(Kind.WRONG, name, Math.sqrt(silent / size), bar);
        }
        double share = PER_ROW * bar * Math.sqrt(size / parts) + floor;
        boolean said = Math.sqrt(total) > bar * Math.sqrt(size) + floor;
        for (int part = 0; eachRow && part < parts; part++) {
            if (Math.sqrt(misses[part]) > share) {
                said = true;
                if (!says.test(part)) {
                    return new ProblemCheck(Kind.WRONG, name + " of row " + part, Math.sqrt(misses[part] * parts / size), PER_ROW * bar);
                }
            }
        }
        return new ProblemCheck(said ? Kind.SAID : Kind.RIGHT, name, Math.sqrt(total / size), bar);
    }

    /** Sizes of what each gradient is a sum of: one that is far below is 0 but for rounding. */
    private record Terms(double dq, double dk, double dv, double dridge) {
        static Terms of(RandomProblem problem, ProblemAnswer want) {
            double scale = Math.abs(problem.options().scaleFor(problem.shape().headDim()));
            double g = Math.sqrt(square(problem.g()));
            double gv = g * Math.sqrt(square(problem.inputs().v()));
            double k = Math.sqrt(square(problem.inputs().k()));
            double x = Math.sqrt(square(want.forward().x()));
            double ridge = problem.options().ridge(); // those per query are above it
            return new Terms(gv * k * (scale + 1 / ridge), gv * (scale * Math.sqrt(square(problem.inputs().q())) + x), g, gv * k * x / ridge);
        }
    }

    private static double square(Tensor tensor) {
        double sum = 0;
        for (long i = 0; i < tensor.size(); i++) {
            sum += tensor.get(i) * tensor.get(i);
        }
        return sum;
    }

    private static double largestScore(RandomProblem problem) {
        AttentionShape shape = problem.shape();
        Tensor q = problem.inputs().q();
        Tensor k = problem.inputs().k();
        int d = shape.headDim();
        double largest = 0;
        for (int row = 0; row < shape.rows(); row++) {
            long head = row / shape.queryLength() / shape.group();
            for (int key = 0; key < shape.keyLength(); key++) {
                double score = 0;
                for (int c = 0; c < d; c++) {
                    score += q.get((long) row * d + c) * k.get((head * shape.keyLength() + key) * d + c);
                }
                largest = Math.max(largest, Math.abs(score));
            }
        }
        return largest * Math.abs(problem.options().scaleFor(d));
    }

    /** Whether the device answered, rightly or not. */
    boolean isAnswer() {
        return !Double.isNaN(error) || kind == Kind.WRONG;
    }

    /** On one line. */
    @Override
    public String toString() {
        return Double.isNaN(error) ? what : String.format(java.util.Locale.ROOT, "%s is off by %.1e (bar %.0e)", what, error, bar);
    }
}
