package io.github.flashlla.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.bench.Mode;
import io.github.flashlla.bench.Task;
import io.github.flashlla.experiment.Finding.Check;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What is concluded from curves: it must be able to fail. */
class ConclusionTest {
    private static final TestTimeRegression EXPERIMENT = new TestTimeRegression();
    private static List<Curve> measured;

    @BeforeAll
    static void measure() {
        try (Device device = Devices.open("jvm")) {
            measured = EXPERIMENT.run(new Run(device, 1, true, null, Progress.SILENT));
        }
    }

    private static List<Check> failed(String method, double factor) {
        List<Curve> curves = measured.stream().map(curve -> !curve.method().equals(method) ? curve
                : new Curve(curve.panel(), curve.method(), curve.x(), Arrays.stream(curve.y()).map(y -> y * factor).toArray())).toList();
        return EXPERIMENT.conclude(List.of(new SeedResult(1, 1, curves)), true).checks().stream().filter(check -> !check.holds()).toList();
    }

    @Test
    void holdsOfWhatWasMeasured() {
        assertEquals(List.of(), failed("LLA", 1));
    }

    @Test
    void aDeviceThatIsOffByMoreThanOnePercentFails() {
        assertEquals(1, failed("LLA", 1.02).size());
        assertEquals(1, failed("LLA", Double.NaN).stream().filter(check -> check.claim().contains("1%")).count());
    }

    @Test
    void anErrorThatIsTooLargeFails() {
        assertTrue(failed("LLA", 4).stream().anyMatch(check -> check.claim().contains("0.008")));
        assertEquals(1, failed("softmax attention", 2).size());
        assertEquals(1, failed("MesaNet", 0.1).size());
    }

    @Test
    void aRidgeThatChangesNothingFails() {
        RidgeChoice experiment = new RidgeChoice();
        List<Curve> curves;
        try (Device device = Devices.open("jvm")) {
            curves = experiment.run(new Run(device, 1, true, null, Progress.SILENT));
        }
        assertTrue(experiment.conclude(List.of(new SeedResult(1, 1, curves)), true).holds());
        for (String same : List.of("LLA, ridge 10", "LLA, ridge 0.01")) { // as if it were 1
            Curve one = curves.stream().filter(curve -> curve.method().equals("LLA, ridge 1")).findFirst().orElseThrow();
            List<Curve> wrong = curves.stream().map(curve -> curve.method().equals(same) ? new Curve(curve.panel(), same, one.x(), one.y()) : curve).toList();
            assertFalse(experiment.conclude(List.of(new SeedResult(1, 1, wrong)), true).holds(), same);
        }
    }

    @Test
    void aDirectSolveNeedsNoIterations() {
        RidgeChoice experiment = new RidgeChoice();
        try (Device device = Devices.open("reference")) {
            Finding finding = experiment.conclude(List.of(new SeedResult(1, 1, experiment.run(new Run(device, 1, true, null, Progress.SILENT)))), true);
            assertTrue(finding.holds(), finding.toString());
            assertFalse(finding.toString().contains("where a query takes"), finding.toString());
        }
    }

    @Test
    void theNaiveFormIsForOneDevice() {
        Task naive = new Task(Mode.NAIVE, AttentionShape.square(1, 1, 16, 8), LlaOptions.defaults(), DataType.FLOAT32);
        assertEquals(List.of("jvm"), Devices.list().stream().filter(naive::isFor).map(DeviceInfo::name).toList());
    }

    @Test
    void memoryOfTheBlockedPassesMustNotGrowWithTheSquare() {
        MemoryGrowth experiment = new MemoryGrowth();
        assertTrue(experiment.conclude(List.of(memory(1, 0.01)), true).holds());
        List<Check> failed = experiment.conclude(List.of(memory(2, 1)), true).checks().stream().filter(check -> !check.holds()).toList();
        assertEquals(List.of("fwd:", "fwd+bwd:", "decode:"), failed.stream().map(check -> check.claim().split(" ")[0]).toList());
    }

    /** Memory in MiB at 1000 to 8000 tokens; the naive form's, at two lengths, grows with the square. */
    private static SeedResult memory(double exponent, double decodeStep) {
        double[] x = {1000, 2000, 4000, 8000};
        double[] powers = Arrays.stream(x).map(length -> Math.pow(length / 1000, exponent)).toArray();
        return new SeedResult(1, 1, List.of(curve("naive", new double[] {1000, 2000}, 8, 32), curve("fwd", x, powers), curve("fwd+bwd", x, powers),
                curve("decode", x, 1, 1 + decodeStep, 1 + 2 * decodeStep, 1 + 3 * decodeStep)));
    }

    private static Curve curve(String method, double[] x, double... y) {
        return new Curve("memory-by-length", method, x, y);
    }

    @Test
    void biasVarianceNeedsThePredictedExponents() {
        BiasVariance experiment = new BiasVariance();
        assertFalse(experiment.conclude(List.of(powers(experiment, -0.1)), true).holds());
        assertTrue(experiment.conclude(List.of(powers(experiment, 0)), true).holds());
    }

    /** Curves that fall by the predicted exponents, or more slowly. */
    private static SeedResult powers(BiasVariance experiment, double less) {
        return new SeedResult(1, 1, experiment.panels(true).stream().filter(panel -> panel.id().endsWith("d")).flatMap(panel -> {
            int dim = Character.digit(panel.id().charAt(panel.id().length() - 2), 10);
            return List.of("local linear (LLA)", "local constant (softmax)", "global linear").stream().map(method -> {
                double power = method.startsWith("local constant") && panel.id().startsWith("boundary") ? -2.0 / (dim + 2) : -4.0 / (dim + 4);
                double[] x = {100, 1000, 10000};
                return new Curve(panel.id(), method, x, Arrays.stream(x).map(n -> Math.pow(n, power - 1.1 * less)).toArray());
            });
        }).toList());
    }
}
