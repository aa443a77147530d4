package io.github.flashlla.bench;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.StreamReadException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.SmallFile;
import io.github.flashlla.text.Printable;
import java.io.CharConversionException;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/**
 * What one run of the benchmark measures: every task on every device.
 *
 * @param name what the record is called unless the caller names it
 * @param devices device selectors as {@link io.github.flashlla.Devices#select} takes them
 * @param tasks without repeats, in order
 * @param protocol how each is measured
 */
public record Suite(String name, List<String> devices, List<Task> tasks, Protocol protocol) {

    private static final int MAX_MEBIBYTES = 1;

    private static final YAMLMapper YAML = YAMLMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.ACCEPT_SINGLE_VALUE_AS_ARRAY)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    /** What a value was to be, for people. */
    private static final Map<Class<?>, String> KINDS = Map.of(SuiteFile.class, "a list of keys and values", Grid.class,
            "a list of keys and values", Integer.class, "a whole number", Double.class, "a number", Boolean.class, "true or false",
            String.class, "text", List.class, "a list");

    public Suite {
        tasks = List.copyOf(new LinkedHashSet<>(tasks)); // what is listed twice is measured once
    }

    /**
     * Reads a suite from YAML (or JSON, which is YAML too).
     *
     * @throws InvalidInputException if it cannot be read, or says something unknown or out of range
     */
    public static Suite read(Path file) {
        try {
            SuiteFile content = YAML.readValue(SmallFile.read(file, "suite " + file, MAX_MEBIBYTES), SuiteFile.class);
            if (content == null) {
                throw new InvalidInputException("suite " + file + " is empty");
            }
            return content.suite(stem(file));
        } catch (UnrecognizedPropertyException e) {
            throw new InvalidInputException("suite " + file + " has the unknown key '" + Printable.text(e.getPropertyName()) + "'"
                    + at(e) + "; known here are " + e.getKnownPropertyIds().stream().map(Object::toString).sorted().toList());
        } catch (JsonMappingException e) {
            if (e.getCause() instanceof InvalidInputException invalid) {
                throw new InvalidInputException("suite " + file + at(e) + ": " + invalid.getMessage());
            }
            if (e.getCause() instanceof StreamReadException || !(e instanceof MismatchedInputException mismatch)) {
                throw new InvalidInputException("suite " + file + at(e) + " is not valid YAML: " + firstLine(e));
            }
            throw new InvalidInputException("suite " + file + at(e) + ": " + place(mismatch) + " is not "
                    + KINDS.getOrDefault(mismatch.getTargetType(), "of the kind that belongs there"));
        } catch (CharConversionException e) {
            throw new InvalidInputException("suite " + file + " is not text in UTF-8");
        } catch (JacksonException e) {
            throw new InvalidInputException("suite " + file + at(e) + " is not valid YAML: " + firstLine(e));
        } catch (InvalidInputException e) {
            throw e.getMessage().startsWith("suite ") ? e
                    : new InvalidInputException("suite " + file + ": " + e.getMessage());
        } catch (IOException e) {
            throw new InvalidInputException("suite " + file + (e instanceof NoSuchFileException ? " does not exist"
                    : " cannot be read: " + e.getMessage()));
        }
    }

    /** The same on other devices. */
    public Suite withDevices(List<String> newDevices) {
        return new Suite(name, newDevices, tasks, protocol);
    }

    public Suite withProtocol(Protocol newProtocol) {
        return new Suite(name, devices, tasks, newProtocol);
    }

    /** Where in the file a value stands, such as {@code workloads[0].seq[1]}. */
    private static String place(JsonMappingException e) {
        StringBuilder place = new StringBuilder();
        for (JsonMappingException.Reference step : e.getPath()) {
            place.append(step.getFieldName() == null ? "[" + step.getIndex() + "]" : (place.isEmpty() ? "" : ".") + step.getFieldName());
        }
        return place.isEmpty() ? "the file" : Printable.text(place.toString());
    }

    private static String at(JacksonException e) {
        return e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr();
    }

    private static String firstLine(JacksonException e) {
        return Printable.text(e.getOriginalMessage().lines().findFirst().orElse("unreadable").replaceFirst("^java[\\w.]*: ", ""));
    }

    private static String stem(Path file) {
        return file.getFileName().toString().replaceFirst("\\.[^.]*$", "");
    }

    /** The file as it is written; what is left out is null. */
    record SuiteFile(
            String name,
            List<String> devices,
            Integer repetitions,
            Double sampleS,
            Double warmUpS,
            Double timeLimitS,
            List<Grid> workloads) {

        Suite suite(String otherName) {
            if (workloads == null || workloads.isEmpty()) {
                throw new InvalidInputException("it lists no workloads");
            }
            List<Task> tasks = new ArrayList<>();
            for (Grid grid : workloads) {
                if (grid == null) {
                    throw new InvalidInputException("an entry of workloads is empty");
                }
                tasks.addAll(grid.tasks());
            }
            Protocol usual = Protocol.DEFAULT;
            return new Suite(name == null ? otherName : name, devices, tasks, new Protocol(
                    repetitions == null ? usual.repetitions() : repetitions,
                    sampleS != null ? sampleS : repetitions == null ? usual.sampleSeconds() : 0,
                    warmUpS == null ? usual.warmUpSeconds() : warmUpS,
                    timeLimitS == null ? usual.timeLimitSeconds() : timeLimitS));
        }
    }
}
