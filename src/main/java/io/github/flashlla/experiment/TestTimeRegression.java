package io.github.flashlla.experiment;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Keys to values by a linear map that changes from segment to segment, without training: each method predicts the value of
 * every key from the pairs before it.
 */
final class TestTimeRegression implements Experiment {
    private static final int SEGMENTS = ChangingMap.SEGMENTS;
    private static final int DIM = ChangingMap.DIM;
    private static final double RIDGE = 0.01;
    private static final double MESA_RIDGE = 0.1;
    private static final double MESA_DECAY = 0.98;
    /** Positions within a segment that tables and checks average over: early, middle, last quarter. */
    private static final int[][] BANDS = {{8, 39}, {40, 127}, {192, 255}};

    private static final String PANEL = "error-by-position";
    /** Of the reference's curve, which would hide LLA's in the figure. */
    private static final String CHECK = "check";
    private static final String LLA = "LLA";
    private static final String REFERENCE = "LLA, float64 reference";
    private static final String SOFTMAX = "softmax attention";
    private static final String MESA = "MesaNet";
    private static final String DECAYED = "MesaNet, decay 0.98";
    private static final String LINEAR = "linear attention, elu(x) + 1, normalised";
    private static final List<String> METHODS = List.of(LLA, SOFTMAX, MESA, DECAYED, LINEAR, REFERENCE);

    @Override
    public String name() {
        return "test-time-regression";
    }

    @Override
    public String question() {
        return "Does LLA adapt within a sequence to a map that changes, without training?";
    }

    @Override
    public String setUp(boolean quick) {
        return ChangingMap.DESCRIPTION + " LLA: score "
                + "scale 1, ridge 0.01, tolerance 1e-5, float32 on the device; softmax attention: score scale 1; MesaNet: ridge regression over the "
                + "prefix, ridge 0.1, without and with decay 0.98; linear attention: feature map elu(x) + 1, divided by the sum of its weights. Baselines "
                + "are computed in float64.";
    }

    @Override
    public List<Long> seeds(boolean quick) {
        return LongStream.rangeClosed(1, quick ? 2 : 6).boxed().toList();
    }

    @Override
    public List<Panel> panels(boolean quick) {
        return List.of(new Panel(PANEL, "Mean square error of the predicted value by position, mean over 16 neighbouring positions and over seeds; "
                + "the band is the least and the largest seed. The map changes at positions 256, 512 and 768; noise alone is 0.0025.",
                "position", "mean square error", false, true));
    }

    @Override
    public List<Curve> run(Run run) {
        ChangingMap data = ChangingMap.draw(run.seed());
        double[] q = data.q();
        double[] keys = data.keys();
        double[] values = data.values();

        Map<String, double[]> answers = new LinkedHashMap<>();
        run.progress().at(0, LLA + " on " + run.device().info().name());
        answers.put(LLA, lla(run.device(), data));
        run.progress().at(0.3, REFERENCE);
        try (Device reference = Devices.open("reference")) {
            answers.put(REFERENCE, lla(reference, data));
        }
        run.progress().at(0.6, "baselines");
        answers.put(SOFTMAX, Baselines.softmax(q, keys, values, DIM, DIM, 1));
        answers.put(MESA, Baselines.mesa(q, keys, values, DIM, DIM, MESA_RIDGE, 1));
        answers.put(DECAYED, Baselines.mesa(q, keys, values, DIM, DIM, MESA_RIDGE, MESA_DECAY));
        answers.put(LINEAR, Baselines.linear(q, keys, values, DIM, DIM));

        return METHODS.stream().map(method -> new Curve(panel(method), method, ChangingMap.positions(), data.errors(answers.get(method)))).toList();
    }

    private static String panel(String method) {
        return method.equals(REFERENCE) ? CHECK : PANEL;
    }

    private static double[] lla(Device device, ChangingMap data) {
        return device.forward(data.inputs(device), LlaOptions.defaults().withScale(1).withRidge(RIDGE)).output().toDoubleArray();
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        double[][] lla = bands(seeds, LLA);
        double[][] softmax = bands(seeds, SOFTMAX);
        double[][] mesa = bands(seeds, MESA);
        double worstLast = 0;
        double leastFall = Double.MAX_VALUE;
        double leastGap = Double.MAX_VALUE;
        double[] flat = {Double.MAX_VALUE, 0};
        for (int segment = 0; segment < SEGMENTS; segment++) {
            worstLast = Math.max(worstLast, lla[segment][2]);
            leastFall = Math.min(leastFall, lla[segment][0] / lla[segment][2]);
            flat[0] = Math.min(flat[0], softmax[segment][2]);
            flat[1] = Math.max(flat[1], softmax[segment][2]);
            if (segment > 0) {
                leastGap = Math.min(leastGap, mesa[segment][2] / lla[segment][2]);
            }
        }
        double apart = apart(seeds);
        List<Check> checks = new ArrayList<>();
        checks.add(new Check("LLA's error at positions 192 to 255 is at most 0.008 in every segment", "at most " + Numbers.digits(worstLast), worstLast <= 0.008));
        checks.add(new Check("LLA's error falls by 4 times or more within every segment (positions 8 to 39 over 192 to 255)",
                "at least " + Numbers.digits(leastFall) + " times", leastFall >= 4));
        double least = quick ? 0.1 : 0.12; // maps differ in size, which few seeds do not average out
        double most = quick ? 0.17 : 0.15;
        checks.add(new Check("softmax attention's stays between " + least + " and " + most + " at positions 192 to 255",
                Numbers.digits(flat[0]) + " to " + Numbers.digits(flat[1]),
                flat[0] >= least && flat[1] <= most));
        checks.add(new Check("MesaNet is below LLA in segment 1 at positions 192 to 255", Numbers.digits(mesa[0][2]) + " against " + Numbers.digits(lla[0][2]),
                mesa[0][2] < lla[0][2]));
        checks.add(new Check("MesaNet is at least 20 times above LLA from segment 2 on at positions 192 to 255", "at least " + Numbers.digits(leastGap) + " times",
                leastGap >= 20));
        checks.add(new Check("the device's curve is the float64 reference's to 1% at every position of every seed", "at most " + Numbers.error(apart) + " apart",
                apart <= 0.01));
        String sentence = "LLA's error falls from " + Numbers.digits(mean(lla, 0)) + " to " + Numbers.digits(mean(lla, 2)) + " within a segment, after every change "
                + "of the map, where softmax attention stays at " + Numbers.digits(mean(softmax, 2)) + " and MesaNet, best before the first change, ends at "
                + Numbers.digits((mesa[1][2] + mesa[2][2] + mesa[3][2]) / 3) + " after it.";
        List<String> header = new ArrayList<>(List.of("method"));
        IntStream.rangeClosed(1, SEGMENTS).forEach(segment -> header.add("segment " + segment));
        List<List<String>> rows = METHODS.stream().map(method -> {
            List<String> row = new ArrayList<>(List.of(method));
            for (double[] segment : bands(seeds, method)) {
                row.add(Numbers.digits(segment[0]) + " / " + Numbers.digits(segment[1]) + " / " + Numbers.digits(segment[2]));
            }
            return row;
        }).toList();
        return new Finding(sentence, checks, List.of(new Table("Mean square error at positions 8-39 / 40-127 / 192-255 of each segment", header, rows)));
    }

    /** Largest relative distance of the device's curve from the reference's. */
    private static double apart(List<SeedResult> seeds) {
        double apart = 0;
        for (SeedResult seed : seeds) {
            double[] device = seed.curve(PANEL, LLA).y();
            double[] reference = seed.curve(CHECK, REFERENCE).y();
            for (int i = 0; i < device.length; i++) {
                double distance = Math.abs(device[i] - reference[i]) / reference[i];
                apart = distance <= apart ? apart : distance; // NaN stays
            }
        }
        return apart;
    }

    /** Mean over seeds, by segment and band. */
    private static double[][] bands(List<SeedResult> seeds, String method) {
        double[][] means = new double[SEGMENTS][BANDS.length];
        for (SeedResult seed : seeds) {
            Curve curve = seed.curve(panel(method), method);
            for (int segment = 0; segment < SEGMENTS; segment++) {
                for (int band = 0; band < BANDS.length; band++) {
                    int from = segment * ChangingMap.SEGMENT;
                    means[segment][band] += curve.mean(from + BANDS[band][0], from + BANDS[band][1]) / seeds.size();
                }
            }
        }
        return means;
    }

    private static double mean(double[][] bands, int band) {
        return Arrays.stream(bands).mapToDouble(segment -> segment[band]).average().orElseThrow();
    }
}
