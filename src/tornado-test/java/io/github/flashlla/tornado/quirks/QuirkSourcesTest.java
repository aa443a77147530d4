package io.github.flashlla.tornado.quirks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Limits of TornadoVM that show in what its CUDA compiler says or prints, with no device needed. Read as {@link QuirksOnDevice}. */
public class QuirkSourcesTest {
    private static final Pattern CASE = Pattern.compile("(?ms)^//// (\\w+)$\\n(.*?)^//// (REFUSED|COMPILED)(.*?)$");
    private static final Map<String, Matcher> SAID = new HashMap<>();

    @TempDir
    private static Path folder;

    @BeforeAll
    static void compile() throws Exception {
        read(new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-Dtornado.printKernel=True")
                .flag("--add-exports=jdk.graal.compiler/jdk.graal.compiler.phases=ALL-UNNAMED")
                .run(QuirkSources.class, "cuda:0", ".*"));
    }

    private static void read(String said) {
        Matcher cases = CASE.matcher(said);
        for (int at = 0; cases.find(at); at = cases.end()) {
            Matcher one = CASE.matcher(said.substring(cases.start(), cases.end()));
            assertTrue(one.matches());
            SAID.put(one.group(1), one);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
        "callsAnotherKernel       | Unable to build sketch .*Pi",
        "choicesInConstructor     | does not dominate",
        "readsBehindTwoConditions | does not dominate",
        "branchInWideConstructor  | does not dominate",
        "elementOfFragment        | address origin unimplemented",
        "fragmentInArrayOfKernel  | Unable to build sketch .*LoadField#segment",
        "halfMadeAsBitsAndFloat   | NewInstance",
        "fusedMultiplyAdd         | cannot be inlined",
        "privateVectorAtAnyIndex  | Unable to compile",
        "subclass                 | address origin unimplemented"})
    void isStillRefused(String name, String why) {
        assertEquals("REFUSED", SAID.get(name).group(3), name);
        assertTrue(Pattern.compile(why).matcher(SAID.get(name).group(4)).find(), SAID.get(name).group(4));
    }

    /** Where nothing is said of how, kernels so small do not show the limit. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
        "localArrayInMethod      | adf_\\d+\\[l_\\d+\\]",               // the byte offset is the index
        "loopsInBothBranches     | \\}  // B0\\s+// BLOCK \\d+ MERGES [^\\n]*\\s+f_\\d+ +=  f_\\d+;", // assigned once more behind both
        "unsignedShift           | i_\\d+ >> 28",                       // of an int, which keeps the sign
        "fragmentOfNestedLoops   | float (ul_\\d+)\\[4\\];.*\\1 +=  ul_\\d+;", // one array is assigned to another
        "fragmentOfOneLoop       | \\A(?!.*\\n(ul_\\d+) +=  ul_\\d+;\\s+i_)",
        "loopOverConstant        | \\A(?!.*for\\(;)",                   // unrolled
        "loopOverKeptConstant    | for\\(;",
        "vectorMax               | (fmax.*){4}",                        // lane by lane
        "vectorAdd               | make_float4\\(\\(v4f_\\d+\\)\\.x \\+", // lane by lane
        "loopBoundUsedTwice      | (i_\\d+)  =  _kernel_context\\[0\\];.*\\(float\\) \\1;.*for\\(;i_\\d+ < \\1;",
        "arrayInLoopWithBarrier  |",
        // behind the first branch, and where neither condition holds, control falls into the loop
        "loopInSecondOfTwoBranches | \\+ 100\\.0F;[^{]*\\}  // B3\\s+\\}  // B2\\s+else\\s+\\{\\s+// BLOCK 6\\s+\\}  // B2\\s+// BLOCK 7 MERGES \\[4 6 \\]",
        "loopBehindEither        | // BLOCK 10\\s[^{]*\\}  // B4\\s+\\}  // B2\\s+// BLOCK 6 MERGES \\[3 5 \\]",
        "loopWithFixedSecondPart |"})
    void isStillPrinted(String name, String how) {
        assertEquals("COMPILED", SAID.get(name).group(3), name + SAID.get(name).group(4));
        String source = SAID.get(name).group(2);
        assertTrue(how == null || Pattern.compile(how, Pattern.DOTALL).matcher(source).find(), source);
    }

    /** Graal stops inlining at a step, the 1000th unless it is told, if that step inlines nothing; with no limit {@link QuirksOnDevice} runs this. */
    @Test
    void limitOfInlining() throws Exception {
        read(new TornadoChild(folder, Backend.OPENCL).virtual("GPU").flag("-Djdk.graal.MethodInlineBailoutLimit=2")
                .run(QuirkSources.class, "opencl:0", "vectorDifferenceThroughLoop"));
        assertEquals("REFUSED", SAID.get("vectorDifferenceThroughLoop").group(3));
        assertTrue(SAID.get("vectorDifferenceThroughLoop").group(4).contains("Unable to build sketch"));
    }
}
