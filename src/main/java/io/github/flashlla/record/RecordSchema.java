package io.github.flashlla.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.networknt.schema.Error;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;

/** Checks records against their JSON schema. */
final class RecordSchema {
    private static final String RESOURCE = "/schema/record-v1.schema.json";

    private static final Schema SCHEMA = load();

    private RecordSchema() {}

    /** @throws InvalidInputException naming the first place where the document does not follow the schema */
    static void check(String what, JsonNode document) {
        JsonNode version = document.path("schema_version");
        if (!document.isObject() || version.isMissingNode()) {
            throw new InvalidInputException(what + " is JSON, but not a benchmark record: it has no schema_version");
        }
        if (!version.isInt() || version.intValue() != BenchmarkRecord.SCHEMA_VERSION) {
            throw new InvalidInputException(what + " follows schema version " + Printable.text(version.toString())
                    + ", but this program reads version " + BenchmarkRecord.SCHEMA_VERSION
                    + "; make the record again with this version");
        }
        List<Error> errors;
        try {
            errors = SCHEMA.validate(document);
        } catch (RuntimeException e) { // numbers beyond every range, such as 1e999
            throw new InvalidInputException(what + " holds a number that is out of every range");
        }
        if (!errors.isEmpty()) {
            Error first = errors.getFirst();
            String place = first.getInstanceLocation().toString();
            throw new InvalidInputException(what + " does not follow the record schema: at "
                    + (place.isEmpty() ? "its top" : Printable.text(place)) + ", "
                    + Printable.text(first.getMessage())
                    + (errors.size() > 1 ? " (and " + (errors.size() - 1) + " more)" : ""));
        }
    }

    private static Schema load() {
        try (InputStream text = RecordSchema.class.getResourceAsStream(RESOURCE)) {
            if (text == null) {
                throw new IllegalStateException("the program's own " + RESOURCE + " is missing; build it again");
            }
            return SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12).getSchema(text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
