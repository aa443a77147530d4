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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** MQAR: accuracy at recalling the value that followed a key, against the number of pairs in the sequence. */
@AutoService(Experiment.class)
public final class AssociativeRecall extends TrainedExperiment {
    private static final String PANEL = "accuracy-by-pairs";
    private static final double SOLVED = 0.95;

    @Override
    public String name() {
        return "associative-recall";
    }

    @Override
    Plan plan(boolean quick) {
        AssociativeRecallTask task = quick ? new AssociativeRecallTask(32, 32, new int[] {4}) : new AssociativeRecallTask(32, 32, new int[] {4, 8, 12});
        return new Plan(task, new Model.Sizes(2, 64, 2, task.longest(), task.inputs(), task.outputs()), 16, quick ? 500 : 900, quick ? List.of(3e-3)
                : List.of(2e-3, 5e-3),
                quick ? List.of(LLA, SOFTMAX, LINEAR) : List.of(LLA, SOFTMAX, LINEAR, MESA));
    }

    @Override
    String taskWords(boolean quick) {
        AssociativeRecallTask task = (AssociativeRecallTask) plan(quick).task();
        return "Sequences hold " + Arrays.toString(task.pairs()).replaceAll("[\\[\\]]", "")
                + " pairs of a key and a value, then every key again in another order; the value of each is to be told. "
                + task.keys() + " keys, " + task.values() + " values; a batch draws the number of pairs.";
    }

    @Override
    List<Panel> resultPanels(boolean quick) {
        return List.of(new Panel(PANEL, "Share of values recalled on fresh sequences, against the pairs in a sequence.", "pairs in the sequence", "accuracy",
                false, false));
    }

    @Override
    List<Curve> measure(Model model, Attention attention, String method, Run run) {
        AssociativeRecallTask task = (AssociativeRecallTask) plan(run.quick()).task();
        double[] accuracy = new double[task.pairs().length];
        for (int n = 0; n < accuracy.length; n++) {
            for (int batch = 0; batch < MEASURED_BATCHES; batch++) {
                Batch data = task.draw(measuring(run, batch), 64, task.pairs()[n]);
                double[] rows = accuracy(answers(model, attention, task, data), task, data);
                accuracy[n] += Arrays.stream(rows).filter(Double::isFinite).average().orElseThrow() / MEASURED_BATCHES;
            }
        }
        return List.of(new Curve(PANEL, method, Arrays.stream(task.pairs()).asDoubleStream().toArray(), accuracy));
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        Plan plan = plan(quick);
        int[] pairs = ((AssociativeRecallTask) plan.task()).pairs();
        Map<String, double[]> means = means(seeds, PANEL, plan.methods());
        List<Check> checks = new ArrayList<>();
        for (int n = 0; n < pairs.length; n++) {
            double lla = means.get(LLA)[n];
            double softmax = means.get(SOFTMAX)[n];
            double linear = means.get(LINEAR)[n];
            checks.add(new Check(pairs[n] + " pairs: LLA is at least as accurate as softmax attention, to 0.1 point", percent(lla) + " against "
                    + percent(softmax), lla >= softmax - 0.001));
            checks.add(new Check(pairs[n] + " pairs: LLA and softmax attention are above 95%", percent(Math.min(lla, softmax)) + " at least",
                    Math.min(lla, softmax) > SOLVED));
            checks.add(new Check(pairs[n] + " pairs: linear attention is below both", percent(linear), linear < Math.min(lla, softmax)));
        }
        checks.addAll(agreementChecks(seeds));
        Map<String, List<String>> rows = new LinkedHashMap<>();
        means.forEach((method, accuracy) -> rows.put(method, Arrays.stream(accuracy).mapToObj(TrainedExperiment::percent).toList()));
        int last = pairs.length - 1;
        StringBuilder sentence = new StringBuilder("With " + pairs[last] + " pairs in a sequence, ");
        List<String> parts = new ArrayList<>();
        means.forEach((method, accuracy) -> parts.add(method + " recalls " + percent(accuracy[last])));
        sentence.append(String.join(", ", parts)).append('.');
        return new Finding(sentence.toString(), checks, List.of(table("Accuracy on fresh sequences", Arrays.stream(pairs).mapToObj(n -> n + " pairs").toList(), rows)));
    }
}
