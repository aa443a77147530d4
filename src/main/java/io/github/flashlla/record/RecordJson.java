package io.github.flashlla.record;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.UncheckedIOException;
import java.util.List;

/** How records become JSON: snake_case names, nothing written for null, nothing ignored when read. */
public final class RecordJson {
    /** One value on one line. */
    public static final JsonMapper COMPACT = builder().build();

    /** Indented, for files that people open. */
    public static final JsonMapper PRETTY = builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private RecordJson() {}

    /** The whole record, indented. */
    public static String text(BenchmarkRecord record) {
        try {
            return PRETTY.writeValueAsString(record) + "\n";
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One measurement as a line of JSON that stands by itself: a record with one measurement and its device. */
    public static String line(BenchmarkRecord record, Measurement m) {
        try {
            return COMPACT.writeValueAsString(new BenchmarkRecord(record.schemaVersion(), record.name(),
                    record.created(), record.complete(), record.environment(), record.conditions(),
                    record.device(m.device()).map(List::of).orElse(List.of()), List.of(m))) + "\n";
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static JsonMapper.Builder builder() {
        JsonFactory factory = JsonFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(20).maxNumberLength(40)
                        .maxStringLength(100_000).build())
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .build();
        return JsonMapper.builder(factory)
                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .serializationInclusion(JsonInclude.Include.NON_NULL)
                .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT);
    }
}
