package io.github.flashlla.tornadovm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.process.JavaCommand;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.AutoComplete;

/** Archives of classes, with this JDK and picocli's own program in place of TornadoVM's JVM. */
class ClassArchiveTest {
    private static final String ARCHIVED = "shared objects file (top)";

    @TempDir
    private Path folder;

    @Test
    void isLeftByTheFirstJvmAndMappedByTheNext() throws Exception {
        JavaCommand java = java();
        assertEquals(java, ClassArchive.shared(java, folder));
        assertFalse(said(java).contains(ARCHIVED));
        left(java);
        JavaCommand next = ClassArchive.shared(java, folder);
        assertTrue(said(next).contains(ARCHIVED));
        assertEquals(next, left(next));
        assertEquals(1, archives().size());
        assertTrue(ClassArchive.examine(folder).orElseThrow().sound());
    }

    @Test
    void thatWasCutOffIsToldIgnoredAndWrittenAgain() throws Exception {
        JavaCommand java = java();
        left(java);
        Path file = archives().getFirst();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() / 2);
        }
        assertEquals(java, ClassArchive.shared(java, folder));
        CacheFolder.Examination examination = ClassArchive.examine(folder).orElseThrow();
        assertFalse(examination.sound());
        assertTrue(examination.text().contains("1 archive, ") && examination.text().endsWith("; 1 ignored, since what is in it is not what Java wrote"),
                examination.text());
        left(java);
        assertTrue(said(ClassArchive.shared(java, folder)).contains(ARCHIVED));
        assertEquals(1, archives().size());
    }

    @Test
    void isOfOneClassPathAndOneListOfModules() throws Exception {
        left(java());
        assertEquals(java().withClassPath(List.of(jarOf(Test.class))), ClassArchive.shared(java().withClassPath(List.of(jarOf(Test.class))), folder));
        JavaCommand more = java().with(List.of("--add-modules", "java.sql"));
        assertEquals(more, ClassArchive.shared(more, folder));
        JavaCommand settings = java().with(List.of("-Dtornado.device.memory=1MB", "-Xmx1g"));
        assertTrue(ClassArchive.shared(settings, folder).words().stream().anyMatch(word -> word.startsWith("-XX:SharedArchiveFile=")));
    }

    @Test
    void isNotWrittenWhereJavaSharesNothingOrTheRunFailed() throws Exception {
        JavaCommand upgraded = java().with(List.of("--upgrade-module-path", folder.toString()));
        assertEquals(upgraded, left(upgraded));
        assertEquals(1, ClassArchive.leftBy(java(), folder, command -> {
            assertEquals(0, run(command));
            return 1;
        }));
        assertEquals(List.of(), archives());
        assertTrue(ClassArchive.examine(folder).isEmpty());
    }

    @Test
    void aFolderThatTakesNoFilesChangesNothing() throws Exception {
        Path file = Files.createFile(folder.resolve("file"));
        AtomicReference<JavaCommand> ran = new AtomicReference<>();
        assertEquals(7, ClassArchive.leftBy(java(), file, command -> {
            ran.set(command);
            return 7;
        }));
        assertEquals(java(), ran.get());
        assertEquals(java(), ClassArchive.shared(java(), file));
    }

    /** The command as it ran. */
    private JavaCommand left(JavaCommand java) {
        AtomicReference<JavaCommand> ran = new AtomicReference<>();
        assertEquals(0, ClassArchive.leftBy(java, folder, command -> {
            ran.set(command);
            return run(command);
        }));
        return ran.get();
    }

    private List<Path> archives() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(Files::isRegularFile).toList();
        }
    }

    private static JavaCommand java() throws Exception {
        return new JavaCommand(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-cp", jarOf(AutoComplete.class)), Map.of());
    }

    private static String jarOf(Class<?> type) throws Exception {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI()).toString();
    }

    private static int run(JavaCommand java) {
        try {
            Process process = process(java);
            process.getInputStream().readAllBytes();
            return process.waitFor();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What it says, with a line for each class. */
    private static String said(JavaCommand java) throws IOException {
        return new String(process(java.with(List.of("-Xlog:class+load"))).getInputStream().readAllBytes());
    }

    private static Process process(JavaCommand java) throws IOException {
        List<String> words = new ArrayList<>(java.words());
        words.addAll(List.of(AutoComplete.class.getName(), "--help"));
        return new ProcessBuilder(words).redirectErrorStream(true).start();
    }
}
