package io.github.flashlla.experiment;

import java.util.List;

/**
 * What an experiment found.
 *
 * @param sentence the result, in one sentence
 * @param checks what had to hold
 */
public record Finding(String sentence, List<Check> checks, List<Table> tables) {

    /**
     * @param claim what must hold, in words and numbers
     * @param measured the numbers it is judged by
     */
    public record Check(String claim, String measured, boolean holds) {}

    public record Table(String title, List<String> header, List<List<String>> rows) {}

    public boolean holds() {
        return checks.stream().allMatch(Check::holds);
    }
}
