package io.github.flashlla.training;

import com.google.auto.service.AutoService;
import io.github.flashlla.experiment.Curve;
import io.github.flashlla.experiment.Experiment;
import io.github.flashlla.experiment.Finding;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Panel;
import io.github.flashlla.experiment.Run;
import io.github.flashlla.experiment.SeedResult;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/** Words over the six permutations of three things: the running product is to be told at every position. */
@AutoService(Experiment.class)
public final class StateTracking extends TrainedExperiment {
    private static final String PANEL = "accuracy-by-position";
    private static final int[][] PERMUTATIONS = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    private static final double POINTS = 0.02;

    /** @param longest letters of a word */
    private record Words(int longest) implements Task {
        @Override
        public int inputs() {
            return PERMUTATIONS.length;
        }

        @Override
        public int outputs() {
            return PERMUTATIONS.length;
        }

        @Override
        public boolean classes() {
            return true;
        }

        @Override
        public Batch draw(RandomGenerator random, int size) {
            float[] input = new float[size * longest * inputs()];
            float[] target = new float[size * longest * outputs()];
            float[] weight = new float[size * longest];
            java.util.Arrays.fill(weight, 1);
            for (int b = 0; b < size; b++) {
                int state = 0;
                for (int i = 0; i < longest; i++) {
                    int letter = random.nextInt(PERMUTATIONS.length);
                    state = product(letter, state);
                    input[(b * longest + i) * inputs() + letter] = 1;
                    target[(b * longest + i) * outputs() + state] = 1;
                }
            }
            return new Batch(size, longest, input, target, weight);
        }
    }

    /** First the second, then the first. */
    static int product(int first, int second) {
        int[] both = IntStream.range(0, 3).map(n -> PERMUTATIONS[first][PERMUTATIONS[second][n]]).toArray();
        return IntStream.range(0, PERMUTATIONS.length).filter(n -> java.util.Arrays.equals(PERMUTATIONS[n], both)).findFirst().orElseThrow();
    }

    @Override
    public String name() {
        return "state-tracking";
    }

    @Override
    Plan plan(boolean quick) {
        Words task = new Words(quick ? 8 : 16);
        return new Plan(task, new Model.Sizes(2, 32, 2, task.longest(), task.inputs(), task.outputs()), 32, quick ? 200 : 2000, quick ? List.of(5e-3)
                : List.of(2e-3, 5e-3, 1e-2),
                quick ? List.of(LLA, SOFTMAX) : List.of(LLA, SOFTMAX, LINEAR, MESA));
    }

    @Override
    String taskWords(boolean quick) {
        return "Words of " + plan(quick).task().longest()
                + " letters over the six permutations of three things (S3), drawn alike; the product of the letters so far is to be told at every "
                + "position. Guessing gives 16.7%.";
    }

    @Override
    List<Panel> resultPanels(boolean quick) {
        return List.of(new Panel(PANEL, "Share of right products on fresh words, by position.", "position", "accuracy", false, false));
    }

    @Override
    List<Curve> measure(Model model, Attention attention, String method, Run run) {
        Task task = plan(run.quick()).task();
        double[] mean = new double[task.longest()];
        for (int batch = 0; batch < MEASURED_BATCHES; batch++) {
            Batch data = task.draw(measuring(run, batch), 128);
            double[] rows = accuracy(answers(model, attention, task, data), task, data);
            IntStream.range(0, mean.length).forEach(i -> mean[i] += rows[i] / MEASURED_BATCHES);
        }
        return List.of(new Curve(PANEL, method, IntStream.rangeClosed(1, mean.length).asDoubleStream().toArray(), mean));
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        Map<String, double[]> means = means(seeds, PANEL, plan(quick).methods());
        double lla = mean(means.get(LLA));
        double softmax = mean(means.get(SOFTMAX));
        List<Check> checks = new ArrayList<>(List.of(new Check("LLA's accuracy over all positions is within 2 points of softmax attention's, or above it",
                percent(lla) + " against " + percent(softmax), lla >= softmax - POINTS)));
        checks.addAll(agreementChecks(seeds));
        Map<String, List<String>> rows = new LinkedHashMap<>();
        int length = means.get(LLA).length;
        int[] shown = {1, 2, 4, length / 2, length};
        means.forEach((method, accuracy) -> {
            List<String> row = new ArrayList<>(IntStream.of(shown).mapToObj(n -> percent(accuracy[n - 1])).toList());
            row.add(percent(mean(accuracy)));
            rows.put(method, row);
        });
        List<String> columns = new ArrayList<>(IntStream.of(shown).mapToObj(n -> "position " + n).toList());
        columns.add("all");
        return new Finding("Over words of " + length + " letters LLA tells " + percent(lla) + " of the products, softmax attention " + percent(softmax) + ".", checks,
                List.of(table("Accuracy on fresh words", columns, rows)));
    }
}
