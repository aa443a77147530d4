package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.verify.RandomInputs;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RunCommandTest {
    @TempDir
    Path folder;
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @BeforeEach
    void inputs() {
        LlaInputs inputs = RandomInputs.normal(new AttentionShape(1, 4, 2, 20, 30, 16, 12), DataType.FLOAT32);
        Npy.write(folder.resolve("q.npy"), inputs.q());
        Npy.write(folder.resolve("k.npy"), inputs.k());
        Npy.write(folder.resolve("v.npy"), inputs.v());
    }

    @Test
    void writesTheOutputAndTheGradients() throws IOException {
        Tensor g = Tensor.allocate(DataType.FLOAT32, 1, 4, 20, 12);
        g.fill(0.5);
        Npy.write(folder.resolve("g.npy"), g);
        assertEquals(0, run("--verify", "--grad", file("g.npy"), "--out-grads", file("grads"), "--stats", file("s.json")), err::toString);
        assertArrayEquals(new long[] {1, 4, 20, 12}, Npy.read(folder.resolve("o.npy")).dims());
        assertArrayEquals(new long[] {1, 2, 30, 16}, Npy.read(folder.resolve("grads/dk.npy")).dims());
        assertTrue(Files.readString(folder.resolve("s.json")).contains("\"worst_residual\""));
        assertTrue(out.toString().contains("against float64"), out::toString);
    }

    @Test
    void theOutputHasTheRankOfTheQueries() {
        for (String name : new String[] {"q", "k", "v"}) {
            Tensor tensor = Npy.read(folder.resolve(name + ".npy"));
            Npy.write(folder.resolve(name + ".npy"), tensor.reshape(tensor.dim(1), tensor.dim(2), tensor.dim(3)));
        }
        assertEquals(0, run(), err::toString);
        assertArrayEquals(new long[] {4, 20, 12}, Npy.read(folder.resolve("o.npy")).dims());
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({
        "--ridge,0,ridge", "--ridge,-1,ridge", "--ridge,NaN,ridge", "--tol,0,tolerance", "--tol,1,tolerance", "--max-iter,0,iteration cap",
        "--scale,0,scale", "--device,nope,no device matches", "--device,all,devices", "--precond,what,--precond", "--tol,x,--tol",
        "--ridge-file,missing.npy,does not exist", "--grad,g.npy,--out-grads", "--nonsense,1,Unknown option"})
    void badOptionsAreNamed(String option, String value, String said) throws IOException {
        assertRefused(said, option, value);
    }

    @Test
    void badTensorsAreNamed() throws IOException {
        replace("q", new long[] {1, 3, 20, 16});
        assertRefused("not a multiple");
        replace("q", new long[] {1, 4, 20, 15});
        assertRefused("head dim 15");
        replace("q", new long[] {1, 4, 31, 16});
        assertRefused("--no-causal");
        replace("q", new long[] {16});
        assertRefused("rank 1");
        replace("q", new long[] {1, 1, 4, 20, 16});
        assertRefused("rank 5");
        replace("q", new long[] {1, 4, 20, 16});
        replace("v", new long[] {1, 2, 29, 12});
        assertRefused("length");
    }

    @Test
    void aValueThatIsNotFiniteIsNamedByItsPlace() throws IOException {
        Tensor k = Npy.read(folder.resolve("k.npy"));
        k.set(16 * 30 + 16 * 2 + 3, Double.NaN);
        Npy.write(folder.resolve("k.npy"), k);
        assertRefused("k holds NaN at [0, 1, 2, 3]");
    }

    @Test
    void placesThatCannotBeWrittenAreNamed() throws IOException {
        assertEquals(2, run("--out", file("no/such/o.npy")));
        assertEquals(2, run("--out", folder.toString()));
        assertEquals(2, run("--out", file("q.npy")));
        assertTrue(err.toString().contains("both an input and an output"), err::toString);
        assertEquals(16, Npy.read(folder.resolve("q.npy")).dim(3));
    }

    @Test
    void aFailureLeavesTheOldOutputAlone() throws IOException {
        Files.writeString(folder.resolve("o.npy"), "precious");
        assertEquals(2, run("--ridge", "0"));
        assertEquals("precious", Files.readString(folder.resolve("o.npy")));
    }

    private void replace(String name, long[] dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        tensor.fill(0.25);
        Npy.write(folder.resolve(name + ".npy"), tensor);
    }

    private void assertRefused(String said, String... more) throws IOException {
        err.getBuffer().setLength(0);
        assertEquals(2, run(more), err::toString);
        assertTrue(err.toString().contains(said), err::toString);
        assertEquals(1, err.toString().lines().count(), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")));
        try (Stream<Path> files = Files.list(folder)) {
            assertTrue(files.noneMatch(file -> file.toString().endsWith(".part")));
        }
    }

    private String file(String name) {
        return folder.resolve(name).toString();
    }

    private int run(String... more) {
        List<String> args = new ArrayList<>(List.of("run", "--q", file("q.npy"), "--k", file("k.npy"), "--v", file("v.npy")));
        if (!List.of(more).contains("--out")) {
            args.addAll(List.of("--out", file("o.npy")));
        }
        args.addAll(List.of(more));
        return FlashLla.execute(new PrintWriter(out, true), new PrintWriter(err, true), args.toArray(String[]::new));
    }
}
