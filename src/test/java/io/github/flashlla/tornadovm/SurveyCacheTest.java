package io.github.flashlla.tornadovm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.tornadovm.SurveyCache.Answer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SurveyCacheTest {
    @TempDir
    private Path folder;

    @Test
    void answersComeBackAsTheyWere() {
        cache("key").write(answers("a"));

        assertEquals(answers("a"), cache("key").read());
    }

    @Test
    void answersEndWhenTheMachineChanges() {
        cache("key").write(answers("a"));
        SurveyCache changed = cache("other key");

        assertEquals(Map.of(), changed.read());
        assertTrue(changed.state().text().contains("changed"), changed.state().text());
    }

    @Test
    void anAbsenceHoldsForAnHour() {
        Discovery absent = new Discovery(List.of(), List.of(new Absence("spirv", "no platform")));
        long now = System.currentTimeMillis();
        for (long minutes : List.of(1L, 59L, 61L, -5L)) {
            Answer answer = new Answer(now - minutes * 60_000, absent);
            cache("key").write(Map.of(Backend.SPIRV, answer));
            assertEquals(minutes > 0 && minutes < 60 ? Map.of(Backend.SPIRV, answer) : Map.of(), cache("key").read(), () -> minutes + " minutes");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "null", "[]", "{\"version\":2}", "{\"version\":2,\"key\":\"key\",\"answers\":{\"OPENCL\":null}}",
        "{\"version\":2,\"key\":\"key\",\"answers\":{\"OPENCL\":{}}}",
        "{\"version\":1,\"key\":\"key\",\"answers\":{}}", "{\"version\":99,\"key\":\"key\",\"answers\":{}}", "{\"version\":2,\"key\":\"key\",\"answers\":{\"TPU\":{}}}", "\u0000\u0001"})
    void aForeignFileIsAsGoodAsNone(String text) throws IOException {
        Files.createDirectories(folder.resolve("cache"));
        Files.writeString(folder.resolve("cache/devices.json"), text);
        SurveyCache cache = cache("key");

        assertEquals(Map.of(), cache.read());
        assertTrue(cache.state().text().contains("ignored"), cache.state().text());
        cache.write(answers("b"));
        assertEquals(answers("b"), cache("key").read());
    }

    @Test
    void aFolderThatRefusesFilesIsSaidAndNothingElse() throws IOException {
        Files.writeString(folder.resolve("cache"), "a file where a folder should be");
        SurveyCache cache = cache("key");

        assertEquals(Map.of(), cache.read());
        cache.write(answers("a"));
        assertFalse(cache.state().sound());
        assertTrue(cache.state().text().endsWith("not written: " + folder.resolve("cache") + " is a file where a folder is needed"), cache.state().text());
    }

    @Test
    void aFileThatCannotBeReplacedIsSaidByItsOwnReason() throws IOException {
        Files.createDirectories(folder.resolve("cache/devices.json"));
        SurveyCache cache = cache("key");

        cache.write(answers("a"));
        assertFalse(cache.state().sound());
        assertTrue(cache.state().text().contains("not written: ") && cache.state().text().contains("is a directory"), cache.state().text());
    }

    @Test
    void writersAtOnceLeaveOneWholeFileAndNothingElse() throws IOException {
        List<CompletableFuture<Void>> writers = IntStream.range(0, 64)
                .mapToObj(i -> CompletableFuture.runAsync(() -> cache("key").write(answers("device" + i)))).toList();
        while (!writers.stream().allMatch(CompletableFuture::isDone)) {
            SurveyCache reader = cache("key");
            reader.read();
            assertTrue(reader.state().text().contains("used") || reader.state().text().contains("empty"), reader.state().text());
        }
        writers.forEach(CompletableFuture::join);

        assertEquals(1, cache("key").read().size(), () -> "the last of them");
        try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
            assertEquals(List.of("devices.json"), files.map(file -> file.getFileName().toString()).toList());
        }
    }

    private SurveyCache cache(String key) {
        return new SurveyCache(folder.resolve("cache/devices.json"), key);
    }

    private static Map<Backend, Answer> answers(String hardware) {
        return Map.of(Backend.OPENCL, new Answer(1, new Discovery(List.of(new DeviceInfo("opencl:0", "opencl", DeviceInfo.Type.GPU, hardware,
                "vendor", "driver", 1L << 40, -1, 8, List.of(DataType.FLOAT32))), List.of())));
    }
}
