package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.experiment.Curve;
import io.github.flashlla.experiment.Experiment;
import io.github.flashlla.experiment.Experiments;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.experiment.Panel;
import io.github.flashlla.experiment.Run;
import io.github.flashlla.experiment.SeedResult;
import io.github.flashlla.text.Numbers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/** An experiment that trains one model per method and learning rate, and measures each method's best. */
abstract class TrainedExperiment implements Experiment {
    static final String LLA = "LLA";
    static final String SOFTMAX = "softmax attention";
    static final String LINEAR = "linear attention";
    static final String MESA = "MesaNet";
    private static final Set<String> METHODS_WITH_RIDGE = Set.of(LLA, MESA);
    /**
     * Where a learned ridge starts, tried like the learning rates. LLA tends to softmax attention as its ridge grows: regression gains from a start at 1
     * (error 0.057 against 0.092 from 10), state tracking from 10 (47 to 51% against 39 to 40% from 1).
     */
    private static final List<Double> START_RIDGES = List.of(1.0, 10.0);
    /** Panel of the training losses, of every method and rate. */
    static final String LOSS = "training-loss";
    /** Panel, not drawn, of the first losses on the device and on the jvm. */
    private static final String AGREEMENT = "device-agreement";
    private static final String ON_DEVICE = "LLA on the device";
    private static final String ON_JVM = "LLA on jvm";
    private static final int AGREEMENT_STEPS = 20;
    private static final double AGREEMENT_BAR = 1e-3;
    private static final int CHECKPOINT_STEPS = 100;
    private static final int LOSS_POINTS = 50;
    static final int MEASURED_BATCHES = 8;
    /** Batches that are measured come from seeds that no training uses. */
    private static final long MEASURED_FROM = 900_000;

    /** @param rates learning rates, tried for every method alike */
    record Plan(Task task, Model.Sizes sizes, int batch, int steps, List<Double> rates, List<String> methods) {
        /** What a method is trained with: every rate, and for a ridge every start; a plan of one rate has one setting. */
        List<Setting> settings(String method) {
            List<Double> starts = !METHODS_WITH_RIDGE.contains(method) ? List.of(0.0) : rates.size() == 1 ? START_RIDGES.subList(0, 1) : START_RIDGES;
            return rates.stream().flatMap(rate -> starts.stream().map(start -> new Setting(rate, start))).toList();
        }

        String words() {
            return sizes.layers() + " layers, model dim " + sizes.dim() + ", " + sizes.heads() + " heads of " + sizes.dim() / sizes.heads()
                    + ", sequences up to " + sizes.length() + ", batches of " + batch + ", " + steps + " steps of AdamW at "
                    + (rates.size() == 1 ? "learning rate " : "learning rates ")
                    + String.join(", ", rates.stream().map(Numbers::plain).toList()) + " (warmed up, then a cosine), for every method"
                    + (rates.size() == 1 ? "" : "; its best by the loss of the last 5% of its steps is measured; LLA and MesaNet, which learn a ridge, are "
                    + "also tried from start ridges 1 and 10") + ". Positions are learned from sines; queries and keys are normalised with a learned gain "
                    + "per head; no convolution. LLA: learned ridge per head, "
                    + "tolerance 1e-4, forward and backward on the device; linear attention: feature map elu(x) + 1, normalised; MesaNet: learned ridge above 0.25.";
        }
    }

    /** @param startRidge what the learned ridge starts from; 0 for a method without one */
    private record Setting(double rate, double startRidge) {
        String words() {
            return "rate " + Numbers.plain(rate) + (startRidge > 0 ? ", start ridge " + Numbers.plain(startRidge) : "");
        }
    }

    abstract Plan plan(boolean quick);

    /** What the task is, in a sentence or two. */
    abstract String taskWords(boolean quick);

    /** Curves of a trained model, under this label. */
    abstract List<Curve> measure(Model model, Attention attention, String method, Run run);

    /** The figures apart from the training loss. */
    abstract List<Panel> resultPanels(boolean quick);

    @Override
    public final String question() {
        return Experiments.questions().get(name());
    }

    @Override
    public String setUp(boolean quick) {
        return taskWords(quick) + " " + plan(quick).words();
    }

    @Override
    public List<Long> seeds(boolean quick) {
        return List.of(1L);
    }

    @Override
    public final List<Panel> panels(boolean quick) {
        List<Panel> panels = new ArrayList<>(resultPanels(quick));
        panels.add(new Panel(LOSS, "Loss on fresh training data, mean over neighbouring steps, for every method and learning rate.", "step", "loss", false, true));
        return panels;
    }

    @Override
    public List<Curve> run(Run run) {
        Plan plan = plan(run.quick());
        List<Curve> curves = new ArrayList<>();
        int trainings = plan.methods().stream().mapToInt(method -> plan.settings(method).size()).sum();
        int done = 0;
        List<Path> checkpoints = new ArrayList<>();
        for (String method : plan.methods()) {
            double least = Double.POSITIVE_INFINITY;
            List<Curve> best = null;
            for (Setting setting : plan.settings(method)) {
                Path checkpoint = run.folder() == null ? null : run.folder().resolve(("checkpoint-" + run.seed() + "-" + method + "-" + setting.words())
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[ ,]+", "-") + ".bin");
                checkpoints.add(checkpoint);
                try (Model model = new Model(plan.sizes(), DataType.FLOAT32, run.seed(), setting.startRidge()); LlaAttention lla = new LlaAttention(run.device())) {
                    Attention attention = attention(method, lla);
                    Trainer trainer = new Trainer(model, attention, plan.task(), run.seed(), plan.batch(), plan.steps(), setting.rate());
                    boolean converged = train(trainer, checkpoint, run, method + " at " + setting.words(), done, trainings);
                    curves.add(lossCurve(trainer.losses(), method + ", " + setting.words() + (converged ? "" : ", diverged")));
                    double last = converged ? mean(trainer.losses(), plan.steps() - Math.max(1, plan.steps() / 20)) : Double.POSITIVE_INFINITY;
                    if (last < least) {
                        least = last;
                        best = measured(model, attention, method, run);
                    }
                }
                done++;
            }
            if (best == null) {
                throw new DeviceException(method + " diverged at every setting: its losses became no numbers; report the seed, " + run.seed() + ".");
            }
            curves.addAll(best);
        }
        curves.addAll(agreement(plan, run));
        checkpoints.forEach(TrainedExperiment::delete);
        return curves;
    }

    private List<Curve> measured(Model model, Attention attention, String method, Run run) {
        List<Curve> curves = new ArrayList<>();
        Gradients.without(() -> curves.addAll(measure(model, attention, method, run)));
        return curves;
    }

    /** Whether the loss stayed a number. */
    private boolean train(Trainer trainer, Path checkpoint, Run run, String what, int done, int trainings) {
        String identity = setUp(run.quick()) + run.device().info().name();
        if (checkpoint != null) {
            trainer.load(checkpoint, identity);
        }
        while (!trainer.done()) {
            double loss = trainer.train();
            if (!Double.isFinite(loss)) {
                return false;
            }
            run.progress().at((done + (double) trainer.step() / trainer.steps()) / trainings, what + ", step " + trainer.step() + " of " + trainer.steps()
                    + ", loss " + Numbers.digits(loss));
            if (checkpoint != null && (trainer.step() % CHECKPOINT_STEPS == 0 || trainer.done())) {
                trainer.save(checkpoint, identity);
            }
        }
        return true;
    }

    static Attention attention(String method, LlaAttention lla) {
        return switch (method) {
            case LLA -> lla;
            case SOFTMAX -> Attention.softmax();
            case LINEAR -> Attention.linear();
            case MESA -> Attention.mesa();
            default -> throw new IllegalArgumentException(method);
        };
    }

    /** Of the first steps, on the run's device and on the jvm, where these are two. */
    private static List<Curve> agreement(Plan plan, Run run) {
        if (run.device().info().backend().equals("jvm")) {
            return List.of();
        }
        double[] steps = IntStream.rangeClosed(1, AGREEMENT_STEPS).asDoubleStream().toArray();
        try (Device jvm = Devices.open("jvm")) {
            return List.of(new Curve(AGREEMENT, ON_DEVICE, steps, firstLosses(plan, run.device(), run.seed())), new Curve(AGREEMENT, ON_JVM, steps,
                    firstLosses(plan, jvm, run.seed())));
        }
    }

    private static double[] firstLosses(Plan plan, Device device, long seed) {
        try (Model model = new Model(plan.sizes(), DataType.FLOAT32, seed, START_RIDGES.getFirst()); LlaAttention lla = new LlaAttention(device)) {
            Trainer trainer = new Trainer(model, lla, plan.task(), seed, plan.batch(), plan.steps(), plan.rates().getFirst());
            return IntStream.range(0, AGREEMENT_STEPS).mapToDouble(step -> trainer.train()).toArray();
        }
    }

    /** That the device's first steps are the jvm's; nothing where the device is the jvm. */
    static List<Check> agreementChecks(List<SeedResult> seeds) {
        double apart = 0;
        boolean there = false;
        for (SeedResult seed : seeds) {
            for (Curve curve : seed.curves()) {
                if (curve.panel().equals(AGREEMENT) && curve.method().equals(ON_DEVICE)) {
                    there = true;
                    double[] jvm = seed.curve(AGREEMENT, ON_JVM).y();
                    for (int i = 0; i < jvm.length; i++) {
                        double distance = Math.abs(curve.y()[i] - jvm[i]) / jvm[i];
                        apart = distance <= apart ? apart : distance; // NaN stays
                    }
                }
            }
        }
        return there ? List.of(new Check("the losses of the first " + AGREEMENT_STEPS + " steps are those on jvm to " + AGREEMENT_BAR, apart == 0
                ? "equal in the 6 digits recorded" : "at most " + Numbers.error(apart) + " apart",
                apart <= AGREEMENT_BAR)) : List.of();
    }

    private static Curve lossCurve(List<Double> losses, String method) {
        int group = Math.max(1, losses.size() / LOSS_POINTS);
        int points = losses.size() / group;
        double[] x = new double[points];
        double[] y = new double[points];
        for (int i = 0; i < points; i++) {
            x[i] = (i + 1) * group;
            y[i] = losses.subList(i * group, (i + 1) * group).stream().mapToDouble(Double::doubleValue).average().orElseThrow();
        }
        return new Curve(LOSS, method, x, y);
    }

    private static double mean(List<Double> losses, int from) {
        return losses.subList(from, losses.size()).stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    }

    private static void delete(Path checkpoint) {
        if (checkpoint != null) {
            try {
                Files.deleteIfExists(checkpoint);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** What the model answers to a batch, (size * length * outputs). */
    static float[] answers(Model model, Attention attention, Task task, Batch data) {
        try (NDScope scope = new NDScope()) {
            scope.suppressNotUsedWarning();
            NDArray output = model.forward(model.array(data.input(), data.size(), data.length(), task.inputs()), 0, attention);
            return output.toFloatArray();
        }
    }

    static RandomGenerator measuring(Run run, int n) {
        return Trainer.generator(MEASURED_FROM + run.seed(), n);
    }

    /** Shares of right classes by row of the sequence, where targets count; NaN elsewhere. */
    static double[] accuracy(float[] answers, Task task, Batch data) {
        double[] right = new double[data.length()];
        double[] all = new double[data.length()];
        for (int row = 0; row < data.size() * data.length(); row++) {
            if (data.weight()[row] > 0) {
                all[row % data.length()]++;
                right[row % data.length()] += largest(answers, row, task.outputs()) == largest(data.target(), row, task.outputs()) ? 1 : 0;
            }
        }
        return IntStream.range(0, right.length).mapToDouble(i -> right[i] / all[i]).toArray();
    }

    private static int largest(float[] values, int row, int width) {
        int best = 0;
        for (int c = 1; c < width; c++) {
            if (values[row * width + c] > values[row * width + best]) {
                best = c;
            }
        }
        return best;
    }

    /** Mean over seeds at each position of the figure, by method. */
    static Map<String, double[]> means(List<SeedResult> seeds, String panel, List<String> methods) {
        Map<String, double[]> means = new LinkedHashMap<>();
        for (String method : methods) {
            double[] mean = new double[seeds.getFirst().curve(panel, method).y().length];
            for (SeedResult seed : seeds) {
                double[] y = seed.curve(panel, method).y();
                IntStream.range(0, mean.length).forEach(i -> mean[i] += y[i] / seeds.size());
            }
            means.put(method, mean);
        }
        return means;
    }

    static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f%%", share * 100);
    }

    /** A row per method. */
    static Table table(String title, List<String> columns, Map<String, List<String>> rows) {
        List<String> header = new ArrayList<>(List.of("method"));
        header.addAll(columns);
        List<List<String>> cells = new ArrayList<>();
        rows.forEach((method, values) -> {
            List<String> row = new ArrayList<>(List.of(method));
            row.addAll(values);
            cells.add(row);
        });
        return new Table(title, header, cells);
    }
}
