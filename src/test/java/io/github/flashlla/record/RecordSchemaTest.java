package io.github.flashlla.record;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.classmate.ResolvedType;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.victools.jsonschema.generator.CustomDefinition;
import com.github.victools.jsonschema.generator.FieldScope;
import com.github.victools.jsonschema.generator.Option;
import com.github.victools.jsonschema.generator.OptionPreset;
import com.github.victools.jsonschema.generator.SchemaGenerator;
import com.github.victools.jsonschema.generator.SchemaGeneratorConfigBuilder;
import com.github.victools.jsonschema.generator.SchemaVersion;
import com.github.victools.jsonschema.generator.TypeScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds the schema's file against what the records' types, {@link Limits} and Javadoc say. */
class RecordSchemaTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root"));
    private static final Path FILE = ROOT.resolve("bench/schema/record-v1.schema.json");
    private static final ObjectMapper JSON = new ObjectMapper();

    @Test
    void theFileSaysWhatTheRecordsSay() throws IOException {
        String wanted = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(generated()) + "\n";
        Path copy = Files.createDirectories(ROOT.resolve("target")).resolve(FILE.getFileName());
        Files.writeString(copy, wanted);
        assertEquals(wanted, Files.readString(FILE), "copy " + copy + " to " + FILE);
    }

    @Test
    void everyComponentIsDescribed() {
        generated().findParents("type").forEach(part -> part.path("properties").properties().forEach(property ->
                assertTrue(property.getValue().has("description") || property.getValue().has("$ref") || property.getValue().has("allOf"),
                        property.getKey() + " needs a @param in the Javadoc of its record")));
    }

    private static JsonNode generated() {
        SchemaGeneratorConfigBuilder config = new SchemaGeneratorConfigBuilder(JSON, SchemaVersion.DRAFT_2020_12, OptionPreset.PLAIN_JSON)
                .with(Option.FORBIDDEN_ADDITIONAL_PROPERTIES_BY_DEFAULT, Option.DEFINITIONS_FOR_ALL_OBJECTS)
                .without(Option.SCHEMA_VERSION_INDICATOR);
        config.forTypesInGeneral().withPropertySorter((a, b) -> 0)
                .withDefinitionNamingStrategy((key, context) -> key.getType().getErasedType().getSimpleName())
                .withDescriptionResolver(scope -> description(scope.getType()))
                .withCustomDefinitionProvider((type, context) -> type.getErasedType() == Status.class
                        ? new CustomDefinition(JSON.createObjectNode().set("enum", JSON.valueToTree(Status.values())),
                                CustomDefinition.INLINE_DEFINITION, CustomDefinition.EXCLUDING_ATTRIBUTES) : null)
                .withTypeAttributeOverride(RecordSchemaTest::timesOnlyIfOk);
        config.forFields()
                .withPropertyNameOverrideResolver(field -> PropertyNamingStrategies.SnakeCaseStrategy.INSTANCE.translate(field.getDeclaredName()))
                .withRequiredCheck(field -> !optional(field))
                .withDescriptionResolver(RecordSchemaTest::description)
                .withEnumResolver(field -> of(field, limits -> limits.words().length == 0 ? null : Arrays.asList((Object[]) limits.words())))
                .withStringPatternResolver(field -> of(field, limits -> limits.pattern().isEmpty() ? null : limits.pattern()))
                .withStringMinLengthResolver(field -> isFreeText(field) ? 1 : null)
                .withStringMaxLengthResolver(field -> isFreeText(field) ? limits(field).length() : null)
                .withArrayMinItemsResolver(field -> field.isFakeContainerItemScope() || !field.getType().isArray() ? null : 1)
                .withArrayMaxItemsResolver(field -> field.isFakeContainerItemScope() || !field.isContainerType() ? null : limits(field).length())
                .withNumberInclusiveMinimumResolver(field -> isNumber(field) && !limits(field).above() ? number(limits(field).min()) : null)
                .withNumberExclusiveMinimumResolver(field -> isNumber(field) && limits(field).above() ? number(limits(field).min()) : null)
                .withNumberInclusiveMaximumResolver(field -> isNumber(field) ? most(field) : null);
        ObjectNode schema = JSON.createObjectNode();
        schema.put("$schema", "https://json-schema.org/draft/2020-12/schema");
        schema.put("$id", "https://flashlla.github.io/schema/record-v1.schema.json");
        schema.put("title", "Benchmark record of Local Linear Attention, version " + BenchmarkRecord.SCHEMA_VERSION);
        schema.put("$comment", "RecordSchemaTest makes this file from the records in io.github.flashlla.record. Units are in the names. "
                + "A value that is not known is left out, never 0 or -1.");
        schema.setAll(new SchemaGenerator(config.build()).generateSchema(BenchmarkRecord.class));
        return schema;
    }

    /** Times exist only beside a passed accuracy check, and what failed says why. */
    private static void timesOnlyIfOk(ObjectNode schema, TypeScope scope, Object context) {
        if (scope.getType().getErasedType() == Measurement.class) {
            schema.putObject("if").putObject("properties").putObject("status").put("const", Status.OK.label());
            schema.putObject("then").putArray("required").add("times").add("rates").add("accuracy");
            ObjectNode otherwise = schema.putObject("else");
            otherwise.putArray("required").add("message");
            otherwise.putObject("properties").put("times", false).put("rates", false);
        }
    }

    private static boolean optional(FieldScope field) {
        Class<?> type = field.getType().getErasedType();
        return limits(field).optional() || Number.class.isAssignableFrom(type);
    }

    private static boolean isFreeText(FieldScope field) {
        return field.getType().getErasedType() == String.class && !field.isFakeContainerItemScope() && limits(field).words().length == 0;
    }

    private static boolean isNumber(FieldScope field) {
        Class<?> type = field.getType().getErasedType();
        return Number.class.isAssignableFrom(type) || type.isPrimitive() && type != boolean.class;
    }

    private static BigDecimal most(FieldScope field) {
        if (!Double.isNaN(limits(field).max())) {
            return number(limits(field).max());
        }
        Class<?> type = field.getType().getErasedType();
        return type == int.class || type == Integer.class ? BigDecimal.valueOf(Integer.MAX_VALUE)
                : type == long.class || type == Long.class ? BigDecimal.valueOf(1L << 60) : number(1e30);
    }

    private static BigDecimal number(double value) {
        BigDecimal exact = BigDecimal.valueOf(value).stripTrailingZeros();
        return Math.abs(value) < 1e19 ? exact.setScale(Math.max(0, exact.scale())) : exact;
    }

    private static Limits limits(FieldScope field) {
        Limits limits = field.getAnnotation(Limits.class);
        return limits == null ? Usual.LIMITS : limits;
    }

    private static <T> T of(FieldScope field, Function<Limits, T> value) {
        return field.isFakeContainerItemScope() ? null : value.apply(limits(field));
    }

    /** A component without limits of its own. */
    private record Usual(@Limits int component) {
        static final Limits LIMITS = Usual.class.getRecordComponents()[0].getAnnotation(Limits.class);
    }

    /** First sentence of a record's Javadoc. */
    private static String description(ResolvedType type) {
        if (type.getErasedType().getPackage() != Measurement.class.getPackage() || !type.getErasedType().isRecord()) {
            return null;
        }
        return plain(javadoc(type.getErasedType()).replaceFirst("(?s)\\* @param.*", "").replaceFirst("(?s)\\* *\n.*", ""));
    }

    /** Its {@code @param}. */
    private static String description(FieldScope field) {
        if (field.isFakeContainerItemScope()) {
            return null;
        }
        Matcher parameter = Pattern.compile("(?s)@param " + field.getDeclaredName() + " (.*?)(?=@param|$)")
                .matcher(javadoc(field.getDeclaringType().getErasedType()));
        return parameter.find() ? plain(parameter.group(1)) : null;
    }

    /** The Javadoc just before the record, without its ends. */
    private static String javadoc(Class<?> record) {
        Class<?> top = record.getNestHost();
        try {
            String source = Files.readString(ROOT.resolve("src/main/java/" + top.getName().replace('.', '/') + ".java"));
            Matcher javadoc = Pattern.compile("(?s)/\\*\\*((?:(?!\\*/).)*)\\*/\\s*public record " + record.getSimpleName() + "\\(").matcher(source);
            assertTrue(javadoc.find(), () -> "no Javadoc of " + record);
            return javadoc.group(1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Javadoc as text about JSON, where names are in snake case and what is null is left out. */
    private static String plain(String javadoc) {
        String names = Pattern.compile("\\{@code ([a-z]+(?:[A-Z][a-z]*)+)}").matcher(javadoc)
                .replaceAll(name -> PropertyNamingStrategies.SnakeCaseStrategy.INSTANCE.translate(name.group(1)));
        return names.replaceAll("\\bnull\\b", "left out").replaceAll("\\n\\s*\\*\\s?", " ").replaceAll("\\{@(?:code|link|value) #?([^}]*)}", "$1").replace("&lt;", "<")
                .replaceAll("\\s+", " ").replaceFirst("^\\s*\\*?\\s*", "").strip();
    }
}
