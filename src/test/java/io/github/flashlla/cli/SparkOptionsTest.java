package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What of {@code run --on spark} needs no Spark; {@code LocalClusterTest} in src/spark has the rest. */
class SparkOptionsTest {
    @TempDir
    private Path folder;

    private String refusal(int status, String... more) {
        List<String> words = new ArrayList<>(List.of("run", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "--out", folder.resolve("o.npy").toString()));
        words.addAll(List.of(more));
        StringWriter err = new StringWriter();
        assertEquals(status, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), words.toArray(String[]::new)), err::toString);
        return err.toString();
    }

    @Test
    void aMissingSparkIsASentenceThatSaysHowToGetIt() {
        String root = System.getProperty("flashlla.root");
        System.setProperty("flashlla.root", folder.toString());
        try {
            String said = refusal(1, "--on", "spark");
            assertEquals(1, said.lines().count(), said);
            assertTrue(said.contains("needs Apache Spark 4.2") && said.contains("./mvnw -f src/spark/pom.xml package"), said);
        } finally {
            System.setProperty("flashlla.root", root);
        }
    }

    @Test
    void whatSparkDoesNotDoIsRefused() {
        assertTrue(refusal(2, "--on", "flink").contains("'flink' is no engine"));
        assertTrue(refusal(2, "--on", "spark", "--verify").contains("leave out"));
        assertTrue(refusal(2, "--on", "spark", "--window", "4").contains("leave out"));
        assertTrue(refusal(2, "--on", "spark", "--shards", "0").contains("at least 1"));
        for (String option : List.of("--block=5", "--shards=2", "--master=local")) {
            assertEquals("flashlla: " + option.replaceFirst("=.*", "") + " needs --on spark.", refusal(2, option).strip());
        }
        assertTrue(refusal(2, "--device", "jvm,opencl:0").contains("lists several devices"));
    }
}
