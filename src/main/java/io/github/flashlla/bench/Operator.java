package io.github.flashlla.bench;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.Arrays;
import java.util.List;

/** What a workload computes. */
public enum Operator {
    LLA("lla"),
    /** Softmax attention: what LLA's cost is held against, on the same device. */
    SOFTMAX("softmax");

    private final String label;

    Operator(String label) {
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

    public static List<String> labels() {
        return Arrays.stream(values()).map(Operator::label).toList();
    }

    /** The operator of that name. */
    @JsonCreator
    public static Operator of(String label) {
        return Arrays.stream(values()).filter(operator -> operator.label.equals(label)).findFirst()
                .orElseThrow(() -> new InvalidInputException("there is no operator '" + Printable.text(label) + "'; use lla or softmax"));
    }
}
