package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is said to a command line whose options cannot all mean something, in one sentence that names them. */
class MistakesTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "devices --ridge 2 --no-causal          | leave --no-causal and --ridge out",
        "devices --format json --tol 1e-3       | leave --tol out",
        "bench --seq 8 --records x --resume     | leave --records and --resume out",
        "bench --seq 8 --silence 5              | leave --silence out",
        "experiment list --quick                | leave --quick out",
        "bundle -o x.zip                        | not as x.zip is named; name a file that ends in .tar.xz",
        "devices --kernels 1x8x0x64             | --kernels 1x8x0x64: query length must be at least 1, not 0",
        "flags jvm,reference                    | lists several devices",
        "bench --seq 8 --mode fwd,decode --kernel gpu | which the mode decode does not run",
        "help nonsense                          | there is no command 'nonsense'; there are run, ",
        "bench --seq 0                          | Invalid value for option '--seq' (N): '0' is not a length",
        "bench --query-seq 8,0k                 | Invalid value for option '--query-seq' (N): '0k' is not a length",
        "bench --mode decode --dtype bfloat16   | stores float32 or float16, not bfloat16",
        "compare -o /dev/stdout bench/results/h200/host.json | /dev/stdout is open already"})
    void isToldInOneSentence(String words, String told) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        assertEquals(2, FlashLla.execute(new PrintWriter(out), new PrintWriter(err), words.strip().split(" ")), err.toString());
        assertEquals("", out.toString());
        assertEquals(1, err.toString().lines().count(), err.toString());
        assertTrue(err.toString().contains(told), err.toString());
    }
}
