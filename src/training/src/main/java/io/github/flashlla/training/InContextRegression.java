package io.github.flashlla.training;

import com.google.auto.service.AutoService;
import io.github.flashlla.experiment.Curve;
import io.github.flashlla.experiment.Experiment;
import io.github.flashlla.experiment.Finding;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Panel;
import io.github.flashlla.experiment.Run;
import io.github.flashlla.experiment.SeedResult;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/** Linear maps that change within a sequence: the value of each point is to be told from the pairs before it. */
@AutoService(Experiment.class)
public final class InContextRegression extends TrainedExperiment {
    private static final String PANEL = "error-by-pair";
    private static final int DIM = 4;
    private static final double SPREAD = 0.5;

    /**
     * @param segments maps of a sequence
     * @param pairs of a segment
     */
    private record Maps(int segments, int pairs) implements Task {
        @Override
        public int inputs() {
            return 2 * DIM + 1;
        }

        @Override
        public int outputs() {
            return DIM;
        }

        @Override
        public int longest() {
            return 2 * segments * pairs;
        }

        @Override
        public boolean classes() {
            return false;
        }

        /** Rows in turn: a point alone, whose value is the target, then the point with its value and a 1. */
        @Override
        public Batch draw(RandomGenerator random, int size) {
            int length = longest();
            float[] input = new float[size * length * inputs()];
            float[] target = new float[size * length * outputs()];
            float[] weight = new float[size * length];
            for (int b = 0; b < size; b++) {
                for (int segment = 0; segment < segments; segment++) {
                    double[] centre = new double[DIM];
                    double[] map = new double[DIM * DIM];
                    fill(random, centre, 1);
                    fill(random, map, 1 / Math.sqrt(DIM));
                    for (int pair = 0; pair < pairs; pair++) {
                        int row = b * length + 2 * (segment * pairs + pair);
                        double[] x = new double[DIM];
                        fill(random, x, SPREAD);
                        for (int a = 0; a < DIM; a++) {
                            x[a] += centre[a];
                            input[row * inputs() + a] = (float) x[a];
                            input[(row + 1) * inputs() + a] = (float) x[a];
                        }
                        for (int c = 0; c < DIM; c++) {
                            double value = 0;
                            for (int a = 0; a < DIM; a++) {
                                value += map[c * DIM + a] * x[a];
                            }
                            target[row * DIM + c] = (float) value;
                            input[(row + 1) * inputs() + DIM + c] = (float) value;
                        }
                        input[(row + 1) * inputs() + 2 * DIM] = 1;
                        weight[row] = 1;
                    }
                }
            }
            return new Batch(size, length, input, target, weight);
        }

        private static void fill(RandomGenerator random, double[] values, double deviation) {
            for (int i = 0; i < values.length; i++) {
                values[i] = deviation * random.nextGaussian();
            }
        }
    }

    @Override
    public String name() {
        return "in-context-regression";
    }

    @Override
    Plan plan(boolean quick) {
        Maps task = new Maps(3, 8);
        return new Plan(task, new Model.Sizes(2, 32, 2, task.longest(), task.inputs(), task.outputs()), 16, quick ? 200 : 1000, quick ? List.of(5e-3)
                : List.of(2e-3, 5e-3),
                quick ? List.of(LLA, SOFTMAX, LINEAR) : List.of(LLA, SOFTMAX, LINEAR, MESA));
    }

    @Override
    String taskWords(boolean quick) {
        Maps task = (Maps) plan(quick).task();
        return task.segments() + " segments of " + task.pairs() + " pairs (x, W x) in " + DIM
                + " dimensions; a segment draws a centre N(0, I) and W with entries N(0, 1/" + DIM
                + "), and its x are centre + 0.5 N(0, I). Every x is shown alone first, where its value is to be told, then with its value. The mean "
                + "square of the values is about "
                + Numbers.digits(1 + SPREAD * SPREAD) + ".";
    }

    @Override
    List<Panel> resultPanels(boolean quick) {
        Maps task = (Maps) plan(quick).task();
        return List.of(new Panel(PANEL, "Mean square error on fresh sequences by pair; the map changes after every " + task.pairs() + " pairs.", "pair",
                "mean square error", false, true));
    }

    @Override
    List<Curve> measure(Model model, Attention attention, String method, Run run) {
        Maps task = (Maps) plan(run.quick()).task();
        int count = 64;
        double[] error = new double[task.longest() / 2];
        for (int batch = 0; batch < MEASURED_BATCHES; batch++) {
            Batch data = task.draw(measuring(run, batch), count);
            float[] answers = answers(model, attention, task, data);
            for (int row = 0; row < count * data.length(); row++) {
                for (int c = 0; c < DIM && data.weight()[row] > 0; c++) {
                    double distance = answers[row * DIM + c] - data.target()[row * DIM + c];
                    error[row % data.length() / 2] += distance * distance / (DIM * (double) count * MEASURED_BATCHES);
                }
            }
        }
        return List.of(new Curve(PANEL, method, IntStream.rangeClosed(1, error.length).asDoubleStream().toArray(), error));
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        Plan plan = plan(quick);
        Maps task = (Maps) plan.task();
        Map<String, double[]> means = means(seeds, PANEL, plan.methods());
        List<Check> checks = new ArrayList<>();
        Map<String, List<String>> rows = new LinkedHashMap<>();
        means.forEach((method, error) -> rows.put(method, IntStream.range(0, task.segments())
                .mapToObj(segment -> Numbers.digits(half(error, task, segment, false)) + " / " + Numbers.digits(half(error, task, segment, true))).toList()));
        for (int segment = 1; segment < task.segments(); segment++) {
            double lla = half(means.get(LLA), task, segment, true);
            for (String other : List.of(SOFTMAX, LINEAR)) {
                double error = half(means.get(other), task, segment, true);
                checks.add(new Check("segment " + (segment + 1) + ", second half: LLA's error is below that of " + other, Numbers.digits(lla) + " against "
                        + Numbers.digits(error), lla < error));
            }
        }
        checks.addAll(agreementChecks(seeds));
        List<String> parts = new ArrayList<>();
        means.forEach((method, error) -> parts.add(method + " " + Numbers.digits(half(error, task, task.segments() - 1, true))));
        return new Finding("Mean square error in the second half of the last segment: " + String.join(", ", parts) + ".", checks,
                List.of(table("Mean square error in the first / second half of each segment", IntStream.rangeClosed(1, task.segments())
                .mapToObj(n -> "segment " + n).toList(), rows)));
    }

    private static double half(double[] error, Maps task, int segment, boolean second) {
        int from = segment * task.pairs() + (second ? task.pairs() / 2 : 0);
        return mean(Arrays.copyOfRange(error, from, from + task.pairs() / 2));
    }
}
