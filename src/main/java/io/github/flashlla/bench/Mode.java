package io.github.flashlla.bench;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.List;

/** Which passes a workload times. */
public enum Mode {
    FWD("fwd"),
    /** The backward pass alone, after a forward pass outside the clock. */
    BWD("bwd"),
    FWD_BWD("fwd+bwd"),
    /** One decoding step against a key/value cache that is filled outside the clock. */
    DECODE("decode"),
    /** Forward with the matrices of all queries and keys in memory, on this JVM: what the blocked passes are held against. */
    NAIVE("naive"),
    /** Stands for {@link #NAIVE}, {@link #FWD}, {@link #FWD_BWD} and {@link #DECODE}, whose memory is compared. */
    MEMORY("memory");

    private final String label;

    Mode(String label) {
        this.label = label;
    }

    @JsonValue
    public String label() {
        return label;
    }

    @Override
    public String toString() {
        return label;
    }

    /** The modes that this one stands for, itself alone for most. */
    public List<Mode> parts() {
        return this == MEMORY ? List.of(NAIVE, FWD, FWD_BWD, DECODE) : List.of(this);
    }

    public boolean timesForward() {
        return this != BWD;
    }

    public boolean hasBackward() {
        return this == BWD || this == FWD_BWD;
    }

    /** The mode of that name. */
    @JsonCreator
    public static Mode of(String label) {
        for (Mode mode : values()) {
            if (mode.label.equals(label)) {
                return mode;
            }
        }
        throw new InvalidInputException("there is no mode '" + Printable.text(label) + "'; use fwd, bwd, fwd+bwd, decode, naive or memory");
    }
}
