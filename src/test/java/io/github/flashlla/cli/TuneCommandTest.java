package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;

class TuneCommandTest {
    @Test
    void kernelsThatWereNotMeasuredKeepTheirPlaces() {
        assertEquals(List.of("tile", "matrix", "parallel", "cpu", "gpu"), TuneCommand.reordered(List.of("tile", "matrix", "cpu", "gpu", "parallel"),
                List.of("parallel", "cpu", "gpu")), "those of float16 stay in front");
        assertEquals(List.of("a", "b"), TuneCommand.reordered(List.of("a", "b"), List.of()));
    }

    @Test
    void onlyTornadoVmsDevicesAreTuned() {
        for (String line : List.of("tune --device jvm", "tune --device nobody", "tune", "bench --target-error 2", "bench --target-error 1e-2 --tol 1e-3")) {
            StringWriter err = new StringWriter();
            assertEquals(2, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), line.split(" ")), err.toString());
            assertEquals(1, err.toString().lines().count(), err.toString());
        }
    }

    @Test
    void targetErrorMeasuresWhatKeepsToIt() {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        assertEquals(0, FlashLla.execute(new PrintWriter(out), new PrintWriter(err), "bench", "--device", "jvm", "--seq", "64", "--heads", "1", "--head-dim", "16",
                "-r", "1", "--warm-up", "0", "--forks", "2", "--target-error", "1e-2,1e-4"), err.toString());
        List<String> rows = out.toString().lines().filter(line -> line.startsWith("| jvm")).toList();
        assertEquals(2, rows.size(), "a row for each, of both processes\n" + out);
        List<String> table = out.toString().lines().filter(line -> line.startsWith("| fwd 1x1x64x16")).toList();
        assertEquals(1, table.size(), out.toString());
        assertTrue(out.toString().contains(" error to 1.0e-2 |") && !table.getFirst().contains("not reached"), out.toString());
    }
}
