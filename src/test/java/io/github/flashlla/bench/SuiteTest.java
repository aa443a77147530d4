package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Preconditioner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SuiteTest {
    @TempDir
    Path folder;

    @Test
    void everyCombinationRuns() throws IOException {
        Suite suite = read("""
                name: mine
                devices: [jvm, gpu]
                repetitions: 7
                time_limit_s: 12.5
                workloads:
                  - mode: [fwd, fwd+bwd]
                    seq: [64, 128]
                    heads: 4
                    kv_heads: [1, 4]
                    ridge: [1, 0.1]
                    tol: 1.0e-4
                    precond: jacobi
                    dtype: float16
                  - {seq: 64, query_seq: 16, causal: false}
                """);
        assertEquals("mine", suite.name());
        assertEquals(List.of("jvm", "gpu"), suite.devices());
        assertEquals(new Protocol(7, 0, Protocol.DEFAULT.warmUpSeconds(), 12.5), suite.protocol());
        assertEquals(2 * 2 * 2 * 2 + 1, suite.tasks().size());
        assertEquals(suite.tasks().size(), suite.tasks().stream().distinct().count());
        Task first = suite.tasks().getFirst();
        assertEquals(DataType.FLOAT16, first.dataType());
        assertEquals(1e-4, first.options().tolerance());
        assertEquals(Preconditioner.JACOBI, first.options().preconditioner());
        Task last = suite.tasks().getLast();
        assertEquals(16, last.shape().queryLength());
        assertEquals(64, last.shape().keyLength());
        assertTrue(!last.options().causal());
        assertEquals(1e-3, last.options().tolerance());
    }

    @Test
    void repeatedCombinationsRunOnce() throws IOException {
        assertEquals(2, read("workloads: [{seq: [64, 128]}, {seq: 64}]").tasks().size());
    }

    @Test
    void jsonIsASuiteToo() throws IOException {
        assertEquals(2, read("{\"workloads\": [{\"seq\": [64, 128]}]}").tasks().size());
    }

    @Test
    void suitesOfTheProjectAreRead() throws IOException {
        Path suites = Path.of(System.getProperty("flashlla.root", ".")).resolve("bench/suites");
        try (var files = Files.list(suites)) {
            List<Path> all = files.filter(file -> file.toString().endsWith(".yaml")).toList();
            assertTrue(all.size() >= 5, all.toString());
            all.forEach(file -> assertTrue(!Suite.read(file).tasks().isEmpty(), file.toString()));
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "workloads: [{sek: 64}]; unknown key 'sek'",
        "workloads: [{seq: lots}]; workloads[0].seq[0] is not a whole number",
        "workloads: [{seq: 0}]; at least 1",
        "workloads: [{seq: [64, 6.5]}]; workloads[0].seq[1] is not a whole number",
        "workloads: [{seq: 99999999999}]; out of range",
        "workloads: [{causal: perhaps}]; workloads[0].causal[0] is not true or false",
        "workloads: [[[[64]]]]; workloads[0] is not a list of keys and values",
        "'[1, 2]'; the file is not a list of keys and values",
        "'{name: a, name: b, workloads: [{seq: 64}]}'; Duplicate",
        "workloads: [{seq: []}]; empty",
        "workloads: [{head_dim: 1000}]; 256",
        "workloads: [{tol: 2}]; tolerance",
        "workloads: [{mode: sideways}]; sideways",
        "workloads: [{dtype: int8}]; int8",
        "workloads: [{seq: 16, query_seq: 64}]; as many keys",
        "workloads: []; no workloads",
        "repetitions: 5; no workloads",
        "'{repetitions: 0, workloads: [{seq: 64}]}'; repetitions",
        "'workloads: [{'; not valid",
    })
    void mistakesAreNamedInOneSentence(String text, String part) {
        InvalidInputException e = assertThrows(InvalidInputException.class, () -> read(text));
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertTrue(e.getMessage().contains("suite.yaml"), e.getMessage());
        assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    }

    @Test
    void missingFileIsNamed() {
        InvalidInputException e = assertThrows(InvalidInputException.class, () -> Suite.read(folder.resolve("no.yaml")));
        assertTrue(e.getMessage().contains("no.yaml does not exist"), e.getMessage());
        assertTrue(assertThrows(InvalidInputException.class, () -> Suite.read(folder)).getMessage().contains("is a folder"));
    }

    @Test
    void bytesThatAreNoTextAreRefused() throws IOException {
        Path file = Files.write(folder.resolve("suite.yaml"), new byte[] {(byte) 0xff, (byte) 0xc0, 1, 2});
        InvalidInputException e = assertThrows(InvalidInputException.class, () -> Suite.read(file));
        assertEquals(1, e.getMessage().lines().count());
        assertTrue(e.getMessage().contains("not text") || e.getMessage().contains("not valid"), e.getMessage());
    }

    private Suite read(String text) throws IOException {
        return Suite.read(Files.writeString(folder.resolve("suite.yaml"), text));
    }
}
