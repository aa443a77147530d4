package io.github.flashlla.fleet;

import io.github.flashlla.record.BenchmarkRecord;
import java.util.Optional;

/**
 * What came of a host.
 *
 * @param record what it measured; empty if nothing
 * @param reason why that is not all; empty where it is
 */
public record HostResult(String host, State state, Optional<BenchmarkRecord> record, String reason) {
    /** How it ended. */
    public enum State {
        DONE("done"), KEPT("done earlier"), FAILED("FAILED"), STOPPED("stopped");

        private final String word;

        State(String word) {
            this.word = word;
        }

        public String word() {
            return word;
        }
    }
}
