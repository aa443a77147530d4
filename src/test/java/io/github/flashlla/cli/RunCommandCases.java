package io.github.flashlla.cli;

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
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A problem in files, for tests of {@code flashlla run}. */
abstract class RunCommandCases {
    @TempDir
    Path folder;
    final StringWriter out = new StringWriter();
    final StringWriter err = new StringWriter();

    @BeforeEach
    void inputs() {
        LlaInputs inputs = RandomInputs.normal(new AttentionShape(1, 4, 2, 20, 30, 16, 12), DataType.FLOAT32);
        Npy.write(folder.resolve("q.npy"), inputs.q());
        Npy.write(folder.resolve("k.npy"), inputs.k());
        Npy.write(folder.resolve("v.npy"), inputs.v());
    }

    void gradient() {
        Tensor g = Tensor.allocate(DataType.FLOAT32, 1, 4, 20, 12);
        g.fill(0.5);
        Npy.write(folder.resolve("g.npy"), g);
    }

    void assertRefused(String said, String... more) throws IOException {
        err.getBuffer().setLength(0);
        assertEquals(2, run(more), err::toString);
        assertTrue(err.toString().contains(said), err::toString);
        assertEquals(1, err.toString().lines().count(), err::toString);
        assertFalse(Files.exists(folder.resolve("o.npy")));
        try (Stream<Path> files = Files.list(folder)) {
            assertTrue(files.noneMatch(file -> file.toString().endsWith(".part")), "a temporary file is left");
        }
    }

    String file(String name) {
        return folder.resolve(name).toString();
    }

    int run(String... more) {
        List<String> args = new ArrayList<>(List.of("run"));
        Map.of("--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "--out", "o.npy").forEach((option, name) -> {
            if (!List.of(more).contains(option)) {
                args.addAll(List.of(option, file(name)));
            }
        });
        args.addAll(List.of(more));
        return FlashLla.execute(new PrintWriter(out, true), new PrintWriter(err, true), args.toArray(String[]::new));
    }
}
