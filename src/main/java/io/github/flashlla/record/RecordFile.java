package io.github.flashlla.record;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.SmallFile;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Reads and writes records; what is read has passed the schema and the checks of {@link RecordAudit}. */
public final class RecordFile {
    /** No run of the benchmark writes more. */
    private static final int MAX_MEBIBYTES = 64;

    private RecordFile() {}

    /** Replaces the file by one that holds this record; a reader sees the old one or the new one, never half of one. */
    public static void write(Path file, BenchmarkRecord record) {
        try (OutputFile output = OutputFile.create(file)) {
            Files.writeString(output.temporary(), RecordJson.text(record));
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException("the record " + file + " cannot be written (" + reason(e)
                    + "); name a file in a folder that exists and is yours");
        }
    }

    /**
     * Reads a record as {@code bench} writes it, in the form of JSON or of JSON lines.
     *
     * @param notes told, in a sentence each, what was odd but not wrong
     * @throws InvalidInputException saying what is wrong with the file, in one sentence
     */
    public static BenchmarkRecord read(Path file, Consumer<String> notes) {
        String what = "record " + Printable.text(file.toString());
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(SmallFile.read(file, what, MAX_MEBIBYTES))).toString()
                    .replaceFirst("^\uFEFF", ""); // some editors mark UTF-8
            if (text.isBlank()) {
                throw new InvalidInputException(what + " is empty");
            }
            List<BenchmarkRecord> parts = new ArrayList<>();
            for (String document : documents(text)) {
                parts.add(parse(what, document, notes));
            }
            return parts.size() == 1 ? parts.getFirst() : join(what, parts);
        } catch (NoSuchFileException e) {
            throw new InvalidInputException(what + " does not exist");
        } catch (CharacterCodingException e) {
            throw new InvalidInputException(what + " is not JSON: it is not even UTF-8 text");
        } catch (IOException e) {
            throw new InvalidInputException(what + " cannot be read (" + reason(e) + ")");
        }
    }

    private static BenchmarkRecord parse(String what, String text, Consumer<String> notes) {
        BenchmarkRecord record;
        try {
            JsonNode tree = RecordJson.COMPACT.readTree(text);
            RecordSchema.check(what, tree);
            record = RecordJson.COMPACT.treeToValue(tree, BenchmarkRecord.class);
        } catch (JacksonException e) {
            throw new InvalidInputException(what + " is not a whole JSON document: " + problem(e));
        }
        return RecordAudit.check(what, record, note -> notes.accept(what + ": " + note));
    }

    /** The text itself, or its lines if each is a document, as in JSON lines. */
    private static List<String> documents(String text) {
        List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
        boolean eachWhole = lines.size() > 1 && lines.stream().allMatch(line -> line.startsWith("{\"schema_version\""));
        return eachWhole ? lines : List.of(text);
    }

    /** The lines of one run, together again. */
    private static BenchmarkRecord join(String what, List<BenchmarkRecord> parts) {
        BenchmarkRecord first = parts.getFirst();
        Map<String, DeviceFacts> devices = new LinkedHashMap<>();
        List<Measurement> measurements = new ArrayList<>();
        for (BenchmarkRecord part : parts) {
            if (!part.name().equals(first.name()) || !part.environment().equals(first.environment())) {
                throw new InvalidInputException(what + " mixes lines of several runs; give each run a file of its own");
            }
            part.devices().forEach(device -> devices.put(device.name(), device));
            measurements.addAll(part.measurements());
        }
        return RecordAudit.check(what, new BenchmarkRecord(first.schemaVersion(), first.name(), first.created(), false,
                first.environment(), first.conditions(), List.copyOf(devices.values()), measurements), note -> { });
    }

    private static String problem(JacksonException e) {
        String text = e.getOriginalMessage().lines().findFirst().orElse("unreadable")
                .replaceFirst("(?s) \\(start marker at .*", "").replaceFirst(", from `[^`]*`\\)", ")")
                .replaceFirst("(?s): enable `.*", "").replaceFirst("(?s) \\(bound as .*", " the end of the document");
        return Printable.text(text) + (e.getLocation() == null || e.getLocation().getLineNr() < 1 ? ""
                : " (line " + e.getLocation().getLineNr() + ")");
    }

    private static String reason(IOException e) {
        return e instanceof AccessDeniedException ? "access denied"
                : e instanceof NoSuchFileException ? "no such folder" : e.getMessage();
    }
}
