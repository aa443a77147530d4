package io.github.flashlla.io;

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
import io.github.flashlla.text.Printable;
import java.io.CharConversionException;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Reads files that people write in YAML (or JSON, which is YAML too) into records, and says where they are wrong. */
public final class YamlFile {
    private static final int MAX_MEBIBYTES = 1;

    private static final YAMLMapper YAML = YAMLMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.ACCEPT_SINGLE_VALUE_AS_ARRAY)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    /** What a value was to be, for people. */
    private static final Map<Class<?>, String> KINDS = Map.of(Integer.class, "a whole number", Double.class, "a number",
            Boolean.class, "true or false", String.class, "text", List.class, "a list");

    private YamlFile() {}

    /**
     * Reads a file.
     *
     * @param kind what the file is, such as {@code suite}
     * @param content record whose components are the file's keys; what is left out is null
     * @param meaning makes of it what is wanted; may throw an {@link InvalidInputException}
     * @throws InvalidInputException if it cannot be read, or says something unknown or out of range
     */
    public static <C, T> T read(String kind, Path file, Class<C> content, Function<C, T> meaning) {
        String what = kind + " " + file;
        try {
            C found = YAML.readValue(SmallFile.read(file, what, MAX_MEBIBYTES), content);
            if (found == null) {
                throw new InvalidInputException(what + " is empty");
            }
            return meaning.apply(found);
        } catch (UnrecognizedPropertyException e) {
            throw new InvalidInputException(what + " has the unknown key '" + Printable.text(e.getPropertyName()) + "'"
                    + at(e) + "; known here are " + e.getKnownPropertyIds().stream().map(Object::toString).sorted().toList());
        } catch (JsonMappingException e) {
            if (e.getCause() instanceof InvalidInputException invalid) {
                throw new InvalidInputException(what + at(e) + ": " + invalid.getMessage());
            }
            if (e.getCause() instanceof StreamReadException || !(e instanceof MismatchedInputException mismatch)) {
                throw new InvalidInputException(what + at(e) + " is not valid YAML: " + firstLine(e));
            }
            Class<?> wanted = mismatch.getTargetType();
            throw new InvalidInputException(what + at(e) + ": " + place(mismatch) + " is not " + (wanted != null && wanted.isRecord()
                    ? "a list of keys and values" : KINDS.getOrDefault(wanted, "of the kind that belongs there")));
        } catch (CharConversionException e) {
            throw new InvalidInputException(what + " is not text in UTF-8");
        } catch (JacksonException e) {
            throw new InvalidInputException(what + at(e) + " is not valid YAML: " + firstLine(e));
        } catch (InvalidInputException e) {
            throw e.getMessage().startsWith(kind + " ") ? e
                    : new InvalidInputException(what + ": " + e.getMessage());
        } catch (IOException e) {
            throw new InvalidInputException(what + (e instanceof NoSuchFileException ? " does not exist"
                    : " cannot be read: " + e.getMessage()));
        }
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
}
