package io.github.flashlla.record;

import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Locale;

/** How one measurement ended. */
public enum Status {
    /** Measured, and right. */
    OK,
    /** It ran, but missed its accuracy bar: its times are kept out of every comparison. */
    WRONG,
    /** The device refused this shape or these options, and said why. */
    REFUSED,
    /** The device reported a failure. */
    FAILED,
    /** The device's process died. */
    CRASHED,
    /** It ran past its time limit and was stopped. */
    TIMEOUT;

    /** The word in records. */
    @JsonValue
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The word in tables, where a fault stands in capitals. */
    public String word() {
        return this == OK ? "ok" : name();
    }
}
