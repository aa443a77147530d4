package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.verify.Accuracy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class RunCommandTest extends RunCommandCases {
    @Test
    void writesTheOutputAndTheGradients() throws IOException {
        gradient();
        assertEquals(0, run("--verify", "--grad", file("g.npy"), "--out-grads", file("grads"), "--stats", file("s.json")), err::toString);
        assertArrayEquals(new long[] {1, 4, 20, 12}, Npy.read(folder.resolve("o.npy")).dims());
        assertArrayEquals(new long[] {1, 2, 30, 16}, Npy.read(folder.resolve("grads/dk.npy")).dims());
        assertTrue(Files.readString(folder.resolve("s.json")).contains("\"worst_residual\""));
        assertTrue(out.toString().contains("against float64"), out::toString);
    }

    /** The last query alone is decoded, and comes out as it does among the others. */
    @Test
    void oneQueryIsADecodingStep() throws IOException {
        assertEquals(0, run("--verify"), err::toString);
        Tensor all = Npy.read(folder.resolve("o.npy"));
        Tensor queries = Npy.read(folder.resolve("q.npy"));
        Tensor last = Tensor.allocate(queries.type(), 1, 4, 1, 16);
        for (int head = 0; head < 4; head++) {
            for (int d = 0; d < 16; d++) {
                last.set(head * 16 + d, queries.get((head * 20 + 19) * 16 + d));
            }
        }
        Npy.write(folder.resolve("q.npy"), last);
        assertEquals(0, run("--verify"), err::toString);
        Tensor one = Npy.read(folder.resolve("o.npy"));
        assertArrayEquals(new long[] {1, 4, 1, 12}, one.dims());
        for (int head = 0; head < 4; head++) {
            for (int e = 0; e < 12; e++) {
                assertEquals(all.get((head * 20 + 19) * 12 + e), one.get(head * 12 + e), 1e-4);
            }
        }
    }

    /** What lies in the file is what was held against float64: bfloat16 keeps 8 bits, and the error says so. */
    @Test
    void verifyChecksWhatIsWritten() throws IOException {
        gradient();
        assertEquals(0, run("--verify", "--out-type", "bfloat16", "--grad", file("g.npy"), "--out-grads", file("grads"), "--stats", file("s.json")), err::toString);
        JsonNode stats = new ObjectMapper().readTree(folder.resolve("s.json").toFile());
        assertTrue(stats.path("error").asDouble() > 5e-4 && stats.path("error").asDouble() < 0x1p-8, stats::toString);
        assertTrue(stats.path("gradient_error").asDouble() > 5e-4 && stats.path("gradient_error").asDouble() < 0x1p-8, stats::toString);
        Tensor v = Npy.read(folder.resolve("v.npy"));
        Tensor small = Tensor.allocate(DataType.FLOAT32, v.dims());
        for (long i = 0; i < v.size(); i++) {
            small.set(i, v.get(i) * 1e-7);
        }
        Npy.write(folder.resolve("v.npy"), small);
        Files.delete(folder.resolve("o.npy"));
        assertEquals(1, run("--verify", "--out-type", "float16"), "float16 has two steps below 1e-7");
        assertTrue(err.toString().contains("in the file's float16 (--out-type names another); nothing was written."), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")));
        assertEquals(0, run("--verify"), err::toString);
    }

    @Test
    void scoresThatRoundingDecidesAreToldAsWhatTheyAre() {
        Tensor large = Npy.read(folder.resolve("q.npy")).copy();
        for (long i = 0; i < large.size(); i++) {
            large.set(i, large.get(i) * 1e30);
        }
        Npy.write(folder.resolve("q.npy"), large);
        assertEquals(0, run(), err::toString);
        assertTrue(err.toString().contains("q and k are so large that rounding decides which keys count") && !err.toString().contains("e+"), err::toString);
    }

    /** dridge of keys of 1e-21 is 1e-42, of which float32 holds three digits: it says so, and float64 has them all. */
    @Test
    void whatFloat32HoldsWithFewDigitsIsTold() {
        gradient();
        for (String name : List.of("q", "k")) {
            Tensor small = Npy.read(folder.resolve(name + ".npy")).copy();
            for (long i = 0; i < small.size(); i++) {
                small.set(i, small.get(i) * 1e-21);
            }
            Npy.write(folder.resolve(name + ".npy"), small);
        }
        assertEquals(0, run("--verify", "--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
        assertTrue(err.toString().contains("warning: the elements of dridge are at most ") && err.toString().contains("--out-type float64 keeps them.")
                && err.toString().lines().count() == 1, err::toString);
        err.getBuffer().setLength(0);
        assertEquals(0, run("--verify", "--grad", file("g.npy"), "--out-grads", file("grads"), "--out-type", "float64"), err::toString);
        assertEquals("", err.toString());
        Tensor found = Npy.read(folder.resolve("grads/dridge.npy"));
        assertEquals(0, run("--device", "reference", "--grad", file("g.npy"), "--out-grads", file("exact"), "--out-type", "float64"), err::toString);
        double error = Accuracy.relativeError(scaled(found, 1e40), scaled(Npy.read(folder.resolve("exact/dridge.npy")), 1e40));
        assertTrue(error < 1e-5, "dridge is off by " + error);
    }

    private static Tensor scaled(Tensor tensor, double by) {
        Tensor scaled = Tensor.allocate(DataType.FLOAT64, tensor.dims());
        for (long i = 0; i < tensor.size(); i++) {
            scaled.set(i, tensor.get(i) * by);
        }
        return scaled;
    }

    @Test
    void theSummaryNamesTheDecodingMethod() throws IOException {
        Tensor queries = Npy.read(folder.resolve("q.npy"));
        Npy.write(folder.resolve("q.npy"), queries.part(2, 0, 1).copy());
        assertEquals(0, run("--stats", file("s.json")), err::toString);
        String method = new ObjectMapper().readTree(folder.resolve("s.json").toFile()).path("computed_by").asText();
        assertTrue(List.of("moments", "covariance", "matrix_free").contains(method), method);
        assertTrue(out.toString().contains(" on jvm by " + method + ": "), out::toString);
        assertEquals(0, run("--device", "reference"), err::toString);
        assertTrue(out.toString().contains(" on reference by moments: "), out::toString);
    }

    @Test
    void theOutputHasTheRankOfTheQueries() {
        for (String name : new String[] {"q", "k", "v"}) {
            Tensor tensor = Npy.read(folder.resolve(name + ".npy"));
            Npy.write(folder.resolve(name + ".npy"), tensor.reshape(tensor.dim(1), tensor.dim(2), tensor.dim(3)));
        }
        gradient();
        assertEquals(0, run("--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
        assertArrayEquals(new long[] {4, 20, 12}, Npy.read(folder.resolve("o.npy")).dims());
        assertArrayEquals(new long[] {4, 20}, Npy.read(folder.resolve("grads/dridge.npy")).dims());
        assertArrayEquals(new long[] {2, 30, 12}, Npy.read(folder.resolve("grads/dv.npy")).dims());
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({
        "--ridge,0,ridge", "--ridge,-1,ridge", "--ridge,NaN,ridge", "--ridge,Infinity,ridge", "--tol,0,tolerance", "--tol,1,tolerance",
        "--tol,-1e-3,tolerance", "--tol,NaN,tolerance", "--max-iter,0,iteration cap", "--max-iter,-5,iteration cap",
        "--max-iter,99999999999,'99999999999' is out of range", "--scale,0,scale", "--scale,NaN,scale", "--scale,Infinity,scale", "--stats,'',--stats",
        "--out-type,int8,--out-type", "--out,o.npz,which is only read", "--q,none.safetensors:a,does not exist",
        "--out-grads,grads,--grad", "--device,opencl:77,no device matches", "--device,nope,no device matches", "--device,'jvm,reference',devices",
        "--precond,what,--precond", "--tol,x,--tol",
        "--precision,float16,does not compute products in float16", "--precision,float64,precision", "--precision,int8,--precision",
        "--ridge-file,missing.npy,does not exist", "--grad,g.npy,--out-grads", "--nonsense,1,Unknown option: '--nonsense'",
        "--devcie,jvm,Unknown option: '--devcie' (did you mean --device?)"})
    void badOptionsAreNamed(String option, String value, String said) throws IOException {
        assertRefused(said, option, value);
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource(delimiter = ';', value = {
        "q; 1,3,20,16; not a multiple", "q; 1,4,20,15; head dim 15", "q; 1,4,31,16; --no-causal", "q; 16; rank 1", "q; 1,1,4,20,16; rank 5",
        "q; ''; rank 0", "q; 2,4,20,16; different batch sizes", "q; 1,4,0,16; query length must be at least 1",
        "v; 1,2,29,12; length 30 but v has 29", "v; 1,4,30,12; heads", "v; 1,2,30,257; value dim must be 1 to 256",
        "k; 1,2,30,15; head dim 16 but k has 15"})
    void badShapesAreNamedWithTheirFiles(String name, String dims, String said) throws IOException {
        replace(name, Stream.of(dims.split(",")).filter(size -> !size.isEmpty()).mapToLong(Long::parseLong).toArray());
        assertRefused(said);
        assertTrue(err.toString().contains(file(name + ".npy")), err::toString);
    }

    @ParameterizedTest(name = "{0} = {1} at {2}")
    @CsvSource({"q,NaN,5", "k,NaN,959", "v,-Infinity,0", "v,Infinity,719", "g,NaN,3"})
    void aValueThatIsNotFiniteIsNamedByItsPlace(String name, double value, int at) throws IOException {
        gradient();
        Tensor tensor = Npy.read(folder.resolve(name + ".npy")).copy();
        tensor.set(at, value);
        Npy.write(folder.resolve(name + ".npy"), tensor);
        assertRefused(file(name + ".npy") + " holds " + value + " at " + tensor.coordinates(at), "--grad", file("g.npy"), "--out-grads",
                file("grads"));
        assertFalse(Files.exists(folder.resolve("grads")));
    }

    @Test
    void thePlaceIsThatInTheFile() throws IOException {
        Tensor q = Tensor.allocate(DataType.FLOAT64, 20, 16);
        q.set(16 * 7 + 3, 1e300); // finite, but more than float32 holds
        Npy.write(folder.resolve("q.npy"), q);
        for (String name : List.of("k", "v")) {
            Tensor tensor = Npy.read(folder.resolve(name + ".npy")).copy();
            Npy.write(folder.resolve(name + ".npy"), Tensor.wrap(tensor.segment().asSlice(0, 30 * tensor.dim(3) * 4), DataType.FLOAT32, 30,
                    tensor.dim(3)));
        }
        assertRefused("holds 1.0E300 at [7, 3]");
    }

    @Test
    void ridgesFromAFileAreAboveZeroAndOneForEachQuery() throws IOException {
        Tensor ridge = Tensor.allocate(DataType.FLOAT32, 1, 4, 20);
        ridge.fill(0.5);
        Npy.write(folder.resolve("l.npy"), ridge);
        assertEquals(0, run("--ridge-file", file("l.npy"), "--verify"), err::toString);
        Files.delete(folder.resolve("o.npy"));
        assertRefused("exclude each other", "--ridge-file", file("l.npy"), "--ridge", "2");
        ridge.set(27, 0);
        Npy.write(folder.resolve("l.npy"), ridge);
        assertRefused("holds 0.0 at [0, 1, 7]", "--ridge-file", file("l.npy"));
        assertRefused("needs (1,4,20)", "--ridge-file", file("q.npy"));
    }

    @Test
    void filesThatAreNoTensorsAreNamed() throws IOException {
        Files.writeString(folder.resolve("text.npy"), "hello");
        Files.write(folder.resolve("cut.npy"), Arrays.copyOf(Files.readAllBytes(folder.resolve("q.npy")), 1000));
        for (String option : List.of("--q", "--k", "--v")) {
            assertRefused("no.npy does not exist", option, file("no.npy"));
            assertRefused("text.npy is not a .npy file", option, file("text.npy"));
            assertRefused("cut.npy is truncated", option, file("cut.npy"));
            assertRefused("is a directory", option, folder.toString());
        }
    }

    @Test
    void placesThatCannotBeWrittenAreNamed() throws IOException {
        for (String option : List.of("--out", "--stats")) {
            assertRefused("does not exist", option, file("no/such/o.npy"));
            assertRefused("is a directory", option, folder.toString());
            assertRefused("is a device or a pipe", option, "/dev/null");
            assertRefused("refuses new files.", option, "/proc/o.npy");
        }
        gradient();
        assertRefused("there is a file of that name", "--grad", file("g.npy"), "--out-grads", file("q.npy"));
        assertRefused("its own folder is not there", "--grad", file("g.npy"), "--out-grads", file("no/such"));
    }

    @Test
    void noOutputIsAnInputByWhateverName() throws IOException {
        byte[] before = Files.readAllBytes(folder.resolve("q.npy"));
        Files.createDirectory(folder.resolve("sub"));
        Files.createSymbolicLink(folder.resolve("link.npy"), Path.of("q.npy"));
        Files.createSymbolicLink(folder.resolve("linked"), folder);
        for (String name : List.of("q.npy", "./q.npy", "sub/../q.npy", "link.npy", "linked/q.npy")) {
            for (String option : List.of("--out", "--stats")) {
                assertRefused("both an input (--q) and an output (" + option + ")", option, file(name));
            }
        }
        gradient();
        Files.move(folder.resolve("g.npy"), folder.resolve("dk.npy"));
        assertRefused("both an input (--grad)", "--grad", file("dk.npy"), "--out-grads", file("sub/.."));
        assertArrayEquals(before, Files.readAllBytes(folder.resolve("q.npy")));
    }

    @Test
    void noTwoOutputsShareAPlace() throws IOException {
        gradient();
        Files.createSymbolicLink(folder.resolve("later.npy"), Path.of("o.npy"));
        assertRefused("--out and --stats both name", "--stats", file("./o.npy"));
        assertRefused("--out and --stats both name", "--stats", file("later.npy"));
        Files.createDirectory(folder.resolve("grads"));
        assertRefused("dq.npy of --out-grads", "--grad", file("g.npy"), "--out-grads", file("grads"), "--stats", file("grads/dq.npy"));
        try (Stream<Path> files = Files.list(folder.resolve("grads"))) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void aLinkIsWrittenThroughAndPermissionsStay() throws IOException {
        Files.createDirectory(folder.resolve("far"));
        Path far = Files.writeString(folder.resolve("far/o.npy"), "old");
        Files.setPosixFilePermissions(far, PosixFilePermissions.fromString("rw-rw-rw-"));
        Files.createSymbolicLink(folder.resolve("near.npy"), Path.of("far/o.npy"));
        assertEquals(0, run("--out", file("near.npy")), err::toString);
        assertTrue(Files.isSymbolicLink(folder.resolve("near.npy")));
        assertArrayEquals(new long[] {1, 4, 20, 12}, Npy.read(far).dims());
        assertEquals("rw-rw-rw-", PosixFilePermissions.toString(Files.getPosixFilePermissions(far)));
    }

    @Test
    void aFailureLeavesOldOutputsAlone() throws IOException {
        gradient();
        Files.createDirectory(folder.resolve("grads"));
        List<String> outputs = List.of("o.npy", "s.json", "grads/dq.npy", "grads/dridge.npy");
        for (String output : outputs) {
            Files.writeString(folder.resolve(output), "precious");
        }
        String[] all = {"--grad", file("g.npy"), "--out-grads", file("grads"), "--stats", file("s.json")};
        assertEquals(2, run(Stream.concat(Stream.of(all), Stream.of("--ridge", "0")).toArray(String[]::new)));
        assertEquals(1, run(Stream.concat(Stream.of(all), Stream.of("--verify", "--max-iter", "1")).toArray(String[]::new)), "a miss");
        assertTrue(err.toString().contains("nothing was written"), err::toString);
        for (String output : outputs) {
            assertEquals("precious", Files.readString(folder.resolve(output)), output);
        }
    }

    @ParameterizedTest
    @EnumSource
    void tensorsOfOtherFormatsAndTypesGoInAndOut(DataType type) throws IOException {
        for (String name : List.of("q", "k", "v")) {
            TensorFile place = TensorFile.of(file(name + ".safetensors:a." + name));
            try (OutputFile output = OutputFile.create(place.file())) {
                place.writeTo(output, Npy.read(folder.resolve(name + ".npy")).as(type));
                output.commit();
            }
            Npy.write(folder.resolve(name + ".npy"), place.read().as(DataType.FLOAT32)); // rounded to the type
        }
        gradient();
        assertEquals(0, run("--verify"), err::toString);
        assertEquals(0, run("--q", file("q.safetensors:a.q"), "--k", file("k.safetensors"), "--v", file("v.safetensors:a.v"), "--out",
                file("o.safetensors:o"), "--out-type", "input", "--grad", file("g.npy"), "--out-grads", file("grads"), "--verify"), err::toString);
        Tensor output = TensorFile.of(file("o.safetensors:o")).read();
        assertEquals(type, output.type());
        assertEquals(type, Npy.read(folder.resolve("grads/dk.npy")).type());
        assertArrayEquals(Npy.read(folder.resolve("o.npy")).as(type).toDoubleArray(), output.toDoubleArray());
    }

    @Test
    void anOutputOfAnUnknownKindIsRefused() throws IOException {
        for (String name : List.of("o.txt", "o.npy.gz")) {
            assertEquals(2, run("--out", file(name)));
            assertTrue(err.toString().contains(name + " is no kind of file"), err::toString);
            assertFalse(Files.exists(folder.resolve(name)));
        }
        assertEquals(0, run("--out", file("plain")), err::toString);
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 3})
    void tokensBeforeHeadsGiveTheSame(int rank) {
        gradient();
        assertEquals(0, run("--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
        List<String> names = List.of("o", "grads/dq", "grads/dk", "grads/dv", "grads/dridge");
        List<Tensor> expected = names.stream().map(name -> swapped(name, rank)).toList();
        for (String name : List.of("q", "k", "v", "g")) {
            Npy.write(folder.resolve(name + ".npy"), swapped(name, rank));
        }
        assertEquals(0, run("--grad", file("g.npy"), "--out-grads", file("grads"), "--layout", "bshd"), err::toString);
        for (int i = 0; i < names.size(); i++) {
            Tensor found = Npy.read(folder.resolve(names.get(i) + ".npy"));
            assertArrayEquals(expected.get(i).dims(), found.dims(), names.get(i));
            assertArrayEquals(expected.get(i).toDoubleArray(), found.toDoubleArray(), names.get(i));
        }
    }

    private Tensor swapped(String name, int rank) {
        Tensor tensor = Npy.read(folder.resolve(name + ".npy"));
        Tensor swapped = (tensor.rank() == 4 ? tensor.permute(0, 2, 1, 3) : tensor.permute(0, 2, 1)).copy();
        return rank == 4 ? swapped : swapped.reshape(Arrays.copyOfRange(swapped.dims(), 1, swapped.rank()));
    }

    @Test
    void aTypeThatCannotHoldTheOutputIsRefused() {
        Tensor v = Npy.read(folder.resolve("v.npy")).copy();
        for (long i = 0; i < v.size(); i++) {
            v.set(i, v.get(i) * 1e6);
        }
        Npy.write(folder.resolve("v.npy"), v);
        assertEquals(1, run("--out-type", "float16"));
        assertTrue(err.toString().contains("more than float16 holds"), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")));
    }

    @Test
    void anAnswerThatIsNoNumberFailsAndWritesNothing() {
        Tensor q = Npy.read(folder.resolve("q.npy")).copy();
        q.fill(1e4);
        Npy.write(folder.resolve("q.npy"), q);
        Tensor v = Npy.read(folder.resolve("v.npy")).copy();
        for (long i = 0; i < v.size(); i++) {
            v.set(i, v.get(i) * 1e37); // extrapolated to a query far from its keys, beyond 3.4e38
        }
        Npy.write(folder.resolve("v.npy"), v);
        assertEquals(1, run("--scale", "1e-6", "--ridge", "1e-3"));
        assertTrue(err.toString().contains("beyond what float32 holds"), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")));
    }

    @Test
    void solvesThatDidNotConvergeAreCounted() {
        assertEquals(1, run("--max-iter", "1"));
        assertTrue(err.toString().contains("of 80 queries did not reach --tol 1e-5"), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")), "an unsolved answer must be asked for");
        assertEquals(0, run("--max-iter", "1", "--allow-unsolved"));
        assertTrue(Files.exists(folder.resolve("o.npy")));
    }

    /** Four keys in 64 dims at a ridge of 1e-3: float32 alone is off by 1e-3 and does not notice. */
    @Test
    void fewKeysAtASmallRidgeMeetTheBar() {
        for (String ridge : new String[] {"1e-3", "1e-6", "1e-10"}) {
            fewKeys("q", 1, 1);
            fewKeys("k", 1, 0);
            fewKeys("v", 2, 0);
            fewKeys("g", 3, 1);
            assertEquals(0, run("--ridge", ridge, "--verify"), () -> ridge + ": " + err);
        }
        assertEquals(0, run("--ridge", "1e-3", "--verify", "--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
    }

    private void fewKeys(String name, int step, int cosine) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, 1, 1, 4, 64);
        for (int t = 0; t < 4; t++) {
            for (int i = 0; i < 64; i++) {
                double angle = (t + 1) * (step * i + 1.0);
                tensor.set(t * 64L + i, cosine == 1 ? Math.cos(angle) : Math.sin(angle));
            }
        }
        Npy.write(folder.resolve(name + ".npy"), tensor);
    }

    private void replace(String name, long[] dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        tensor.fill(0.25);
        Npy.write(folder.resolve(name + ".npy"), tensor);
    }
}
