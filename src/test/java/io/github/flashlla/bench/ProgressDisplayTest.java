package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class ProgressDisplayTest {
    /** Fresh processes take seconds each, and come after the last measurement. */
    @Test
    void coldStartsAreCountedAndTheirFailuresTold() {
        Task task = new Task(Mode.FWD, AttentionShape.square(1, 2, 20, 16), LlaOptions.defaults(), DataType.FLOAT32);
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        try (ProgressDisplay display = new ProgressDisplay(new PrintStream(said, true, StandardCharsets.UTF_8), List.of(task), 1, Protocol.DEFAULT)) {
            display.coldStart("jvm", task, 1, 2);
            display.note("no cold start of jvm: it failed");
        }
        assertEquals("[cold start 1/2] jvm: " + task.workload().label() + ", " + task.method().label() + "\nnote: no cold start of jvm: it failed.\n",
                said.toString(StandardCharsets.UTF_8));
    }
}
