package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A case that is not what it seems is refused by its file's name. */
class GoldenCaseTest {
    @TempDir
    Path folder;

    @Test
    void valuesAndStatesAreHeldToTheirKind() throws IOException {
        Path one = Files.createDirectory(folder.resolve("one"));
        Path description = one.resolve("case.json");
        Npy.write(one.resolve("q.npy"), Tensor.of(new float[4], 1, 1, 2, 2));
        Files.writeString(description, "{\"scale\": 0.5, \"causal\": true}");
        assertEquals(0.5, GoldenCase.all(folder).getFirst().scale());
        Npy.write(one.resolve("lse.npy"), Tensor.of(new float[] {1, Float.NaN}, 1, 1, 2));
        assertRefused("lse.npy holds NaN");
        Npy.write(one.resolve("lse.npy"), Tensor.of(new float[] {1}, 1, 1, 1));
        assertRefused("lse.npy has shape");
        for (String wrong : List.of("\"NaN\", \"causal\": true", "true, \"causal\": true", "0, \"causal\": true", "1, \"causal\": \"yes\"")) {
            Files.writeString(description, "{\"scale\": " + wrong + "}");
            assertRefused("case.json has no ");
        }
    }

    private void assertRefused(String what) {
        String said = assertThrows(InvalidInputException.class, () -> GoldenCase.all(folder)).getMessage();
        assertTrue(said.contains(what), said);
    }
}
