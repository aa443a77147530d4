package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Windows and packed sequences in {@code flashlla run}. */
class RunSequencesTest extends RunCommandCases {

    @Test
    void aWindowIsVerifiedAsOne() throws IOException {
        gradient();
        assertEquals(0, run("--window", "5", "--verify", "--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
        double[] windowed = Npy.read(folder.resolve("o.npy")).copy().toDoubleArray();
        assertEquals(0, run(), err::toString);
        assertFalse(Arrays.equals(windowed, Npy.read(folder.resolve("o.npy")).toDoubleArray()));
        Files.delete(folder.resolve("o.npy"));
        assertRefused("exclude each other", "--window", "5", "--no-causal");
        assertRefused("at least 1 key", "--window", "0");
    }

    /** Each sequence alone gives the same bits, output and gradients. */
    @Test
    void packedSequencesComeOutAsAlone() throws IOException {
        gradient();
        int[][] lengths = {{3, 0, 17}, {8, 2, 20}}; // of queries, of keys
        assertEquals(0, run("--seqlens", "3,0,17", "--key-seqlens", "8,2,20", "--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
        List<String> names = List.of("o", "grads/dq", "grads/dk", "grads/dv");
        Map<String, Tensor> all = new HashMap<>();
        for (String name : Stream.concat(names.stream(), Stream.of("q", "k", "v", "g")).toList()) {
            all.put(name, Npy.read(folder.resolve(name + ".npy")).copy());
        }
        int[] first = {0, 0};
        for (int s = 0; s < 3; s++) {
            int[] from = first.clone();
            int[] count = {lengths[0][s], lengths[1][s]};
            first = new int[] {from[0] + count[0], from[1] + count[1]};
            if (count[0] == 0) {
                assertTrue(Arrays.stream(all.get("grads/dk").part(2, from[1], count[1]).copy().toDoubleArray()).allMatch(x -> x == 0));
                continue;
            }
            for (String name : List.of("q", "k", "v", "g")) {
                int side = "kv".contains(name) ? 1 : 0;
                Npy.write(folder.resolve(name + ".npy"), all.get(name).part(2, from[side], count[side]).copy());
            }
            assertEquals(0, run("--grad", file("g.npy"), "--out-grads", file("grads")), err::toString);
            for (String name : names) {
                int side = name.endsWith("dk") || name.endsWith("dv") ? 1 : 0;
                assertArrayEquals(all.get(name).part(2, from[side], count[side]).copy().toDoubleArray(),
                        Npy.read(folder.resolve(name + ".npy")).toDoubleArray(), name + " of sequence " + s);
            }
        }
    }

    @Test
    void packedSequencesAreVerified() throws IOException {
        gradient();
        Path stats = folder.resolve("stats.json");
        assertEquals(0, run("--seqlens", "3,0,17", "--key-seqlens", "8,2,20", "--window", "6", "--grad", file("g.npy"), "--out-grads", file("grads"),
                "--verify", "--stats", stats.toString()), err::toString);
        String said = Files.readString(stats);
        assertTrue(said.contains("\"gradient_error\"") && said.contains("\"verified_all_gradients\" : true"), said);
    }

    @Test
    void lengthsThatDoNotFitAreNamed() throws IOException {
        assertRefused("--seqlens adds up to 19, but there are 20 queries", "--seqlens", "3,16", "--key-seqlens", "10,20");
        assertRefused("--key-seqlens adds up to 31, but there are 30 keys.", "--seqlens", "3,17", "--key-seqlens", "10,21");
        assertRefused("--seqlens adds up to 20, but there are 30 keys; name the lengths of the keys with --key-seqlens", "--seqlens", "3,17");
        assertRefused("--seqlens adds up to more than 2147483647", "--seqlens", "2147483647,21", "--key-seqlens", "10,20");
        assertRefused("--seqlens names a length of -3", "--seqlens", "-3,23", "--key-seqlens", "10,20");
        assertRefused("--key-seqlens needs --seqlens", "--key-seqlens", "10,20");
        assertRefused("--seqlens", "--seqlens", "a");
    }
}
