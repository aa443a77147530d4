package io.github.flashlla.experiment;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.experiment.CapSample.Dataset;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.LongStream;

/** Error against the number of keys, of estimates that are local linear (LLA), local constant (softmax) and global linear. */
final class BiasVariance implements Experiment {
    private static final double RIDGE = 0.01; // times h^2
    private static final double SLACK = 0.1;
    private static final String LINEAR = "local linear (LLA)";
    private static final String CONSTANT = "local constant (softmax)";
    private static final String GLOBAL = "global linear";
    private static final List<String> LOCAL = List.of(LINEAR, CONSTANT);
    private static final List<String> REGIONS = List.of("interior", "boundary");
    /** Keys at which the dimensions are compared: in every design's list. */
    private static final int COMMON_KEYS = 1024;

    /**
     * One dimension's sizes.
     *
     * @param draws datasets of a seed that bandwidths are chosen on, and as many that the error is measured on
     * @param narrowest least bandwidth of the grid
     */
    private record Design(int dim, List<Integer> keys, int draws, double narrowest, double widest, int bandwidths) {
        double bandwidth(int n) {
            return narrowest * Math.pow(widest / narrowest, n / (bandwidths - 1.0));
        }

        String panel(String region) {
            return region + "-" + dim + "d";
        }
    }

    private static List<Design> designs(boolean quick) {
        return quick
                ? List.of(new Design(1, List.of(64, 256, 1024), 160, 0.03, 1, 12), new Design(2, List.of(256, 1024, 4096), 60, 0.05, 0.8, 12),
                        new Design(4, List.of(256, 1024, 4096), 40, 0.1, 0.8, 10))
                : List.of(new Design(1, List.of(64, 256, 1024, 4096), 400, 0.02, 1, 18), new Design(2, List.of(256, 1024, 4096, 16384), 160, 0.05, 0.8, 16),
                        new Design(4, List.of(1024, 4096, 16384, 65536), 32, 0.07, 0.8, 14));
    }

    @Override
    public String name() {
        return "bias-variance";
    }

    @Override
    public String question() {
        return "Does the error of a local linear estimate fall with the number of keys as theory predicts, at the boundary too?";
    }

    @Override
    public String setUp(boolean quick) {
        StringBuilder text = new StringBuilder(CapSample.DESCRIPTION
                + " Scores are q.k / h^2, so that weights depend on distance alone. Interior: the centre of the cap; boundary: 8 "
                + "points of its rim. Local linear: LLA on the device, ridge 0.01 h^2, tolerance 1e-5; local constant: the same weights, in float64; global linear: "
                + "least squares. The bandwidth h is the one of a geometric grid with the least mean square error over as many other datasets, for each "
                + "method, region and "
                + "number of keys.");
        for (Design design : designs(quick)) {
            text.append(' ').append(design.dim()).append("d: ").append(design.keys().toString().replaceAll("[\\[\\]]", "")).append(" keys, ").append(design.draws())
                    .append(" + ").append(design.draws()).append(" datasets a seed, ").append(design.bandwidths()).append(" bandwidths from ")
                    .append(design.narrowest()).append(" to ").append(design.widest()).append('.');
        }
        return text.toString();
    }

    @Override
    public List<Long> seeds(boolean quick) {
        return LongStream.rangeClosed(1, quick ? 1 : 3).boxed().toList();
    }

    @Override
    public List<Panel> panels(boolean quick) {
        List<Panel> panels = new ArrayList<>();
        for (Design design : designs(quick)) {
            for (String region : REGIONS) {
                panels.add(new Panel(design.panel(region), "Mean square error against the number of keys, " + design.dim()
                        + (design.dim() == 1 ? " dimension, " : " dimensions, ")
                        + region + "; mean over seeds, the band is the least and the largest.", "keys", "mean square error", true, true));
            }
        }
        REGIONS.forEach(region -> panels.add(new Panel(region + "-by-dimension", "Mean square error at " + COMMON_KEYS + " keys against the dimension, " + region + ".",
                "dimension", "mean square error", false, true)));
        return panels;
    }

    @Override
    public List<Curve> run(Run run) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(run.seed());
        List<Design> designs = designs(run.quick());
        double all = designs.stream().flatMap(design -> design.keys().stream().map(keys -> work(design, keys))).mapToDouble(Double::doubleValue).sum();
        double done = 0;
        Map<String, List<double[]>> points = new LinkedHashMap<>(); // panel and method, in order
        List<Curve> curves = new ArrayList<>();
        for (Design design : designs) {
            for (int keys : design.keys()) {
                run.progress().at(done / all, design.dim() + "d, " + keys + " keys");
                Map<String, double[]> errors = errors(run.device(), design, keys, random);
                for (int region = 0; region < REGIONS.size(); region++) {
                    for (Map.Entry<String, double[]> method : errors.entrySet()) {
                        double error = method.getValue()[region];
                        points.computeIfAbsent(design.panel(REGIONS.get(region)) + "/" + method.getKey(), p -> new ArrayList<>()).add(new double[] {keys, error});
                        if (keys == COMMON_KEYS) {
                            points.computeIfAbsent(REGIONS.get(region) + "-by-dimension/" + method.getKey(), p -> new ArrayList<>())
                                    .add(new double[] {design.dim(), error});
                        }
                    }
                }
                done += work(design, keys);
            }
        }
        points.forEach((place, list) -> curves.add(new Curve(place.substring(0, place.indexOf('/')), place.substring(place.indexOf('/') + 1),
                list.stream().mapToDouble(point -> point[0]).toArray(), list.stream().mapToDouble(point -> point[1]).toArray())));
        return curves;
    }

    private static double work(Design design, int keys) {
        return (double) design.draws() * design.bandwidths() * keys * (design.dim() + 4);
    }

    /** Of each method, the error in the interior and at the boundary. */
    private static Map<String, double[]> errors(Device device, Design design, int keys, RandomGenerator random) {
        List<Dataset> choosing = new ArrayList<>();
        List<Dataset> measuring = new ArrayList<>();
        for (int draw = 0; draw < design.draws(); draw++) {
            choosing.add(CapSample.draw(random, design.dim(), keys));
            measuring.add(CapSample.draw(random, design.dim(), keys));
        }
        Map<String, double[]> errors = new LinkedHashMap<>();
        for (String method : LOCAL) {
            double[] least = {Double.MAX_VALUE, Double.MAX_VALUE};
            int[] best = new int[REGIONS.size()];
            for (int n = 0; n < design.bandwidths(); n++) {
                double[] error = local(device, method, choosing, design.bandwidth(n));
                for (int region = 0; region < best.length; region++) {
                    if (error[region] < least[region]) {
                        least[region] = error[region];
                        best[region] = n;
                    }
                }
            }
            double[] measured = new double[best.length];
            for (int region = 0; region < best.length; region++) {
                measured[region] = local(device, method, measuring, design.bandwidth(best[region]))[region];
            }
            errors.put(method, measured);
        }
        double[] global = new double[REGIONS.size()];
        for (Dataset data : measuring) {
            add(global, data.errors(data.globalLinear()), measuring.size());
        }
        errors.put(GLOBAL, global);
        return errors;
    }

    private static double[] local(Device device, String method, List<Dataset> datasets, double bandwidth) {
        double[] mean = new double[REGIONS.size()];
        double scale = 1 / (bandwidth * bandwidth);
        if (method.equals(CONSTANT)) {
            datasets.forEach(data -> add(mean, data.errors(data.localConstant(scale)), datasets.size()));
            return mean;
        }
        LlaOptions options = LlaOptions.defaults().withScale(scale).withRidge(RIDGE * bandwidth * bandwidth).withCausal(false);
        Dataset first = datasets.getFirst();
        try (LlaPlan plan = device.plan(inputs(first).shape(), options)) { // one plan for all, since a device may compile for it
            LlaResult result = plan.newResult();
            for (Dataset data : datasets) {
                plan.forward(inputs(data), result);
                add(mean, data.errors(result.output().toDoubleArray()), datasets.size());
            }
        }
        return mean;
    }

    private static LlaInputs inputs(Dataset data) {
        int dim = data.headDim();
        return LlaInputs.of(Tensor.of(data.q(), 1, 1, data.q().length / dim, dim), Tensor.of(data.k(), 1, 1, data.k().length / dim, dim),
                Tensor.of(data.v(), 1, 1, data.k().length / dim, CapSample.VALUE_DIM)).as(DataType.FLOAT32);
    }

    private static void add(double[] sum, double[] values, int count) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += values[i] / count;
        }
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        List<Check> checks = new ArrayList<>();
        List<List<String>> rows = new ArrayList<>();
        double worst = 0;
        for (Design design : designs(quick)) {
            for (String region : REGIONS) {
                for (String method : LOCAL) {
                    double fitted = slope(seeds, design.panel(region), method);
                    double predicted = predicted(design.dim(), method, region);
                    worst = Math.max(worst, Math.abs(fitted - predicted));
                    checks.add(new Check(method + ", " + region + ", " + design.dim() + "d: the exponent is within " + SLACK + " of " + signed(predicted),
                            signed(fitted), Math.abs(fitted - predicted) <= SLACK));
                    rows.add(List.of(Integer.toString(design.dim()), region, method, signed(fitted), signed(predicted)));
                }
                rows.add(List.of(Integer.toString(design.dim()), region, GLOBAL, signed(slope(seeds, design.panel(region), GLOBAL)), "0"));
            }
        }
        long held = checks.stream().filter(Check::holds).count();
        String sentence = held + " of " + checks.size() + " fitted exponents of mean square error against the number of keys lie within " + SLACK
                + " of the predicted ones (the furthest " + Numbers.digits(worst)
                + " off); local linear and local constant fall alike in the interior, and local constant more slowly at "
                + "the boundary.";
        return new Finding(sentence, checks, List.of(new Table("Exponents: fitted to the mean over seeds by least squares in logarithms, beside the predicted ones",
                List.of("dimension", "region", "method", "fitted", "predicted"), rows)));
    }

    private static double predicted(int dim, String method, String region) {
        return method.equals(CONSTANT) && region.equals("boundary") ? -2.0 / (dim + 2) : -4.0 / (dim + 4);
    }

    private static double slope(List<SeedResult> seeds, String panel, String method) {
        double[] x = Arrays.stream(seeds.getFirst().curve(panel, method).x()).map(Math::log).toArray();
        double[] y = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            int at = i;
            y[i] = Math.log(seeds.stream().mapToDouble(seed -> seed.curve(panel, method).y()[at]).average().orElseThrow());
        }
        double meanX = Arrays.stream(x).average().orElseThrow();
        double meanY = Arrays.stream(y).average().orElseThrow();
        double both = 0;
        double square = 0;
        for (int i = 0; i < x.length; i++) {
            both += (x[i] - meanX) * (y[i] - meanY);
            square += (x[i] - meanX) * (x[i] - meanX);
        }
        return both / square;
    }

    private static String signed(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }
}
