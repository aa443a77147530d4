package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDScope;
import com.google.auto.service.AutoService;
import io.github.flashlla.experiment.Curve;
import io.github.flashlla.experiment.Experiment;
import io.github.flashlla.experiment.Finding;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.experiment.Panel;
import io.github.flashlla.experiment.Run;
import io.github.flashlla.experiment.SeedResult;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/** A small model of characters: trained through LLA's backward pass, and then generating through its key/value caches. */
@AutoService(Experiment.class)
public final class LanguageModel extends TrainedExperiment {
    private static final String PANEL = "loss-by-position";
    /** Panel, not drawn: the characters generated, and their log-probabilities by decode and by forward. */
    private static final String GENERATED = "generated";
    private static final String BY_DECODE = "log-probability by decode";
    private static final String BY_FORWARD = "log-probability by forward";
    private static final String CODES = "character code";
    private static final String CHECKED = "gradient-check";
    private static final String PROMPT = "First Citizen:\n";
    private static final double DECODE_BAR = 1e-3;
    private static final double GRADIENT_BAR = 1e-6;

    @Override
    public String name() {
        return "language-model";
    }

    @Override
    Plan plan(boolean quick) {
        TextTask task = new TextTask(quick ? 32 : 64, false);
        return new Plan(task, new Model.Sizes(2, 64, 2, task.longest(), task.inputs(), task.outputs()), 8, quick ? 100 : 500, List.of(3e-3), List.of(LLA, SOFTMAX));
    }

    @Override
    String taskWords(boolean quick) {
        TextTask task = (TextTask) plan(quick).task();
        return "400 kB of Shakespeare, " + task.inputs() + " different characters, the last tenth held out; the next character is to be told. The trained "
                + "LLA model then generates, drawing "
                + "from its own probabilities, through a key/value cache per layer, and forward is run on what came out. Gradient check: every parameter "
                + "of a model of the same kind (dim 8, 2 heads, "
                + "2 layers, 6 characters), float64, reference device, against central differences of 1e-5.";
    }

    @Override
    List<Panel> resultPanels(boolean quick) {
        return List.of(new Panel(PANEL, "Cross-entropy on the held-out text by position in the window, in nats per character.", "position",
                "nats per character", false, false));
    }

    @Override
    List<Curve> measure(Model model, Attention attention, String method, Run run) {
        TextTask task = new TextTask(model.sizes().length(), true);
        int length = task.longest();
        int count = 32;
        double[] loss = new double[length];
        for (int batch = 0; batch < MEASURED_BATCHES; batch++) {
            Batch data = task.draw(measuring(run, batch), count);
            double[] each = logProbabilities(answers(model, attention, task, data), data.target(), task.outputs());
            for (int row = 0; row < each.length; row++) {
                loss[row % length] -= each[row] / (count * MEASURED_BATCHES);
            }
        }
        List<Curve> curves = new ArrayList<>(List.of(new Curve(PANEL, method, positions(length), loss)));
        if (method.equals(LLA)) {
            curves.addAll(generate(model, (LlaAttention) attention, run));
        }
        return curves;
    }

    @Override
    public List<Curve> run(Run run) {
        List<Curve> curves = new ArrayList<>(super.run(run));
        run.progress().at(1, "gradient check");
        curves.add(new Curve(CHECKED, LLA, new double[] {0}, new double[] {GradientCheck.relativeError(new TextTask(6, false), run.seed())}));
        return curves;
    }

    /** From a prompt to the model's longest sequence, token by token through the caches; then the same tokens by forward. */
    private static List<Curve> generate(Model model, LlaAttention lla, Run run) {
        TextTask task = new TextTask(model.sizes().length(), true);
        int length = task.longest();
        int[] tokens = new int[length + 1];
        double[] decoded = new double[length];
        RandomGenerator random = measuring(run, MEASURED_BATCHES);
        try (LlaDecoding decoding = new LlaDecoding(run.device(), model.sizes())) {
            for (int i = 0; i < length; i++) {
                if (i < PROMPT.length()) {
                    tokens[i] = task.token(PROMPT.charAt(i));
                }
                double[] logs = logSoftmax(step(model, decoding, task, tokens[i], i), 0, task.outputs());
                tokens[i + 1] = i + 1 < PROMPT.length() ? task.token(PROMPT.charAt(i + 1)) : draw(random, logs);
                decoded[i] = logs[tokens[i + 1]];
            }
        }
        float[] input = new float[length * task.inputs()];
        float[] target = new float[length * task.outputs()];
        for (int i = 0; i < length; i++) {
            input[i * task.inputs() + tokens[i]] = 1;
            target[i * task.outputs() + tokens[i + 1]] = 1;
        }
        double[] forward = logProbabilities(answers(model, lla, task, new Batch(1, length, input, target, null)), target, task.outputs());
        double[] codes = Arrays.stream(tokens, 1, length + 1).mapToDouble(task::character).toArray();
        return List.of(new Curve(GENERATED, CODES, positions(length), codes), new Curve(GENERATED, BY_DECODE, positions(length), decoded),
                new Curve(GENERATED, BY_FORWARD, positions(length), forward));
    }

    private static float[] step(Model model, Attention decoding, Task task, int token, int position) {
        float[] input = new float[task.inputs()];
        input[token] = 1;
        try (NDScope scope = new NDScope()) {
            scope.suppressNotUsedWarning();
            NDArray output = model.forward(model.array(input, 1, 1, task.inputs()), position, decoding);
            return output.toFloatArray();
        }
    }

    private static int draw(RandomGenerator random, double[] logs) {
        double rest = random.nextDouble();
        for (int c = 0; c < logs.length - 1; c++) {
            rest -= Math.exp(logs[c]);
            if (rest < 0) {
                return c;
            }
        }
        return logs.length - 1;
    }

    private static double[] logProbabilities(float[] answers, float[] target, int width) {
        double[] each = new double[answers.length / width];
        for (int row = 0; row < each.length; row++) {
            double[] logs = logSoftmax(answers, row * width, width);
            for (int c = 0; c < width; c++) {
                each[row] += target[row * width + c] * logs[c];
            }
        }
        return each;
    }

    private static double[] logSoftmax(float[] values, int from, int width) {
        double largest = IntStream.range(from, from + width).mapToDouble(i -> values[i]).max().orElseThrow();
        double total = IntStream.range(from, from + width).mapToDouble(i -> Math.exp(values[i] - largest)).sum();
        return IntStream.range(from, from + width).mapToDouble(i -> values[i] - largest - Math.log(total)).toArray();
    }

    private static double[] positions(int length) {
        return IntStream.rangeClosed(1, length).asDoubleStream().toArray();
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        double lla = mean(means(seeds, PANEL, List.of(LLA)).get(LLA));
        double softmax = mean(means(seeds, PANEL, List.of(SOFTMAX)).get(SOFTMAX));
        double apart = 0;
        double gradients = 0;
        for (SeedResult seed : seeds) {
            double[] decoded = seed.curve(GENERATED, BY_DECODE).y();
            double[] forward = seed.curve(GENERATED, BY_FORWARD).y();
            for (int i = 0; i < decoded.length; i++) {
                double distance = Math.abs(decoded[i] - forward[i]);
                apart = distance <= apart ? apart : distance; // NaN stays
            }
            double error = seed.curve(CHECKED, LLA).last();
            gradients = error <= gradients ? gradients : error;
        }
        List<Check> checks = new ArrayList<>();
        checks.add(new Check("log-probabilities of the generated text by decode are those by forward to 1e-3", "at most " + Numbers.error(apart) + " apart",
                apart <= DECODE_BAR));
        checks.add(new Check("the whole model's gradients through LLA are central differences to 1e-6 (float64)", Numbers.error(gradients), gradients <= GRADIENT_BAR));
        double uniform = Math.log(plan(quick).task().outputs());
        checks.add(new Check("LLA's held-out loss is below that of a uniform guess", Numbers.digits(lla) + " against " + Numbers.digits(uniform) + " nats",
                lla < uniform));
        checks.addAll(agreementChecks(seeds));
        List<List<String>> rows = List.of(List.of(LLA, Numbers.digits(lla)), List.of(SOFTMAX, Numbers.digits(softmax)));
        StringBuilder text = new StringBuilder();
        for (double code : seeds.getFirst().curve(GENERATED, CODES).y()) {
            text.append(code == '\n' ? " / " : Character.toString((int) code));
        }
        return new Finding("After equal steps the held-out loss is " + Numbers.digits(lla) + " nats per character with LLA and " + Numbers.digits(softmax)
                + " with softmax attention; decode and forward differ by " + Numbers.error(apart) + " at most in a log-probability.", checks,
                List.of(new Table("Held-out loss, nats per character", List.of("method", "loss"), rows),
                        new Table("Generated through the cache, after '" + PROMPT.strip() + "'", List.of("text"), List.of(List.of(text.toString())))));
    }
}
