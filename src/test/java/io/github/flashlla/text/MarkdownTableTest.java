package io.github.flashlla.text;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class MarkdownTableTest {
    @Test
    void aTableWiderThanTheTerminalIsAListOfItsRows() {
        MarkdownTable table = new MarkdownTable("name", "memory", "driver").add("jvm", "1 GiB", "Java 25").add("opencl:0", "2 GiB", "-");
        String whole = """
                | name     | memory | driver  |
                |:---------|-------:|:--------|
                | jvm      |  1 GiB | Java 25 |
                | opencl:0 |  2 GiB | -       |
                """;
        assertEquals(whole, table.toString());
        assertEquals(whole, table.fitting(31));
        assertEquals("""
                jvm
                  memory: 1 GiB
                  driver: Java 25

                opencl:0
                  memory: 2 GiB
                """, table.fitting(30));
    }

    @Test
    void rowsUnderWhatTheyHaveInCommonGoOnInFurtherLines() {
        MarkdownTable table = new MarkdownTable("device", "pass", "kernel", "verdict", "order from").add("a", "forward", "tile", "no: it is for GPUs alone", "file")
                .add("a", "forward", "parallel", "runs", "file").add("a", "decode", "a", "runs", "");
        assertEquals("""

                a forward, order from file
                  tile      no: it is for
                            GPUs alone
                  parallel  runs

                a decode
                  a         runs
                """, table.grouped(2, 26));
    }
}
