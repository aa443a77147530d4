package io.github.flashlla.experiment;

import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;

/** What the ridge does to an answer and to its price, on a sequence whose map changes. */
final class RidgeChoice implements Experiment {
    private static final List<Double> RIDGES = List.of(10.0, 1.0, 0.1, 0.01);
    private static final String ERRORS = "error-by-position";
    private static final String ITERATIONS = "iterations-by-ridge";
    private static final String SOFTMAX = "softmax attention";
    private static final String SOLVE = "LLA";
    /** The last quarter of a segment, where the map has been seen often. */
    private static final int[] LATE = {192, 255};

    @Override
    public String name() {
        return "ridge";
    }

    @Override
    public String question() {
        return "What do ridges of 10, 1, 0.1 and 0.01 do to the answer, and what do they cost?";
    }

    @Override
    public String setUp(boolean quick) {
        return ChangingMap.DESCRIPTION + " LLA at each ridge: score scale D^-1/2, tolerance 1e-5, float32 on the device; softmax attention: the same scale, in float64. "
                + "The ridge is relative to a query's total weight.";
    }

    @Override
    public List<Long> seeds(boolean quick) {
        return LongStream.rangeClosed(1, quick ? 2 : 6).boxed().toList();
    }

    @Override
    public List<Panel> panels(boolean quick) {
        return List.of(new Panel(ERRORS, "Mean square error of the predicted value by position, mean over 16 neighbouring positions and over seeds; the band is the "
                        + "least and the largest seed. The map changes at positions 256, 512 and 768; noise alone is 0.0025.", "position",
                        "mean square error", false, true),
                new Panel(ITERATIONS, "Iterations of a query's solve by ridge, at tolerance 1e-5: mean over queries and seeds.", "ridge", "iterations", true, false));
    }

    @Override
    public List<Curve> run(Run run) {
        ChangingMap data = ChangingMap.draw(run.seed());
        List<Curve> curves = new ArrayList<>();
        curves.add(new Curve(ERRORS, SOFTMAX, ChangingMap.positions(), data.errors(Baselines.softmax(data.q(), data.keys(), data.values(),
                ChangingMap.DIM, ChangingMap.DIM, 1 / Math.sqrt(ChangingMap.DIM)))));
        double[] iterations = new double[RIDGES.size()];
        for (int n = 0; n < iterations.length; n++) {
            run.progress().at((double) n / iterations.length, method(RIDGES.get(n)));
            LlaResult result = run.device().forward(data.inputs(run.device()), LlaOptions.defaults().withRidge(RIDGES.get(n)));
            curves.add(new Curve(ERRORS, method(RIDGES.get(n)), ChangingMap.positions(), data.errors(result.output().toDoubleArray())));
            iterations[n] = result.meanIterations();
        }
        curves.add(new Curve(ITERATIONS, SOLVE, RIDGES.stream().mapToDouble(ridge -> ridge).toArray(), iterations));
        return curves;
    }

    private static String method(double ridge) {
        return "LLA, ridge " + Numbers.plain(ridge);
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        double softmax = late(seeds, SOFTMAX);
        double[] errors = RIDGES.stream().mapToDouble(ridge -> late(seeds, method(ridge))).toArray();
        double[] iterations = new double[errors.length];
        for (SeedResult seed : seeds) {
            double[] y = seed.curve(ITERATIONS, SOLVE).y();
            for (int n = 0; n < iterations.length; n++) {
                iterations[n] += y[n] / seeds.size();
            }
        }
        boolean iterates = DoubleStream.of(iterations).anyMatch(count -> count != 0);
        List<Check> checks = List.of(
                new Check("each ridge's error is below the larger one's, and softmax attention's above all", Numbers.digits(softmax) + words(errors),
                        falls(DoubleStream.concat(DoubleStream.of(softmax), DoubleStream.of(errors)).toArray())),
                new Check("at a ridge of 10 it is softmax attention's, less at most a tenth", Numbers.digits(errors[0]) + " of " + Numbers.digits(softmax),
                        errors[0] >= 0.9 * softmax),
                new Check("at a ridge of 0.01 it is at most a fifth of softmax attention's", Numbers.digits(errors[3]) + " of " + Numbers.digits(softmax),
                        errors[3] <= softmax / 5),
                iterates ? new Check("each ridge takes more iterations than the larger one", words(iterations).substring(2),
                        falls(DoubleStream.of(iterations).map(count -> -count).toArray()))
                        : new Check("a direct solve, as the reference's, takes no iterations", words(iterations).substring(2), true));
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of(SOFTMAX, Numbers.digits(softmax), ""));
        for (int n = 0; n < errors.length; n++) {
            rows.add(List.of(method(RIDGES.get(n)), Numbers.digits(errors[n]), Numbers.digits(iterations[n])));
        }
        return new Finding("From softmax attention's " + Numbers.digits(softmax) + ", the error falls to " + Numbers.digits(errors[0]) + " at a ridge of 10, "
                + Numbers.digits(errors[1]) + " at 1, " + Numbers.digits(errors[2]) + " at 0.1 and " + Numbers.digits(errors[3]) + " at 0.01"
                + (iterates ? ", where a query takes " + Numbers.digits(iterations[3]) + " iterations instead of " + Numbers.digits(iterations[1]) + " at 1" : "")
                + ".", checks,
                List.of(new Table("Mean square error at positions 192 to 255 of a segment, and iterations of a query", List.of("method", "error", "iterations"), rows)));
    }

    /** Mean over seeds and segments. */
    private static double late(List<SeedResult> seeds, String method) {
        double sum = 0;
        for (SeedResult seed : seeds) {
            for (int segment = 0; segment < ChangingMap.SEGMENTS; segment++) {
                int from = segment * ChangingMap.SEGMENT;
                sum += seed.curve(ERRORS, method).mean(from + LATE[0], from + LATE[1]);
            }
        }
        return sum / seeds.size() / ChangingMap.SEGMENTS;
    }

    private static boolean falls(double[] values) {
        for (int n = 1; n < values.length; n++) {
            if (!(values[n] < values[n - 1])) { // NaN does not
                return false;
            }
        }
        return true;
    }

    private static String words(double[] values) {
        StringBuilder text = new StringBuilder();
        DoubleStream.of(values).forEach(value -> text.append(", ").append(Numbers.digits(value)));
        return text.toString();
    }
}
