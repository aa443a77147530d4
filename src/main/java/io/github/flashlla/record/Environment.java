package io.github.flashlla.record;

import com.fasterxml.jackson.annotation.JsonIgnore;

/**
 * Where a record was made.
 *
 * @param os name and version
 * @param cpu model name
 * @param cores hardware threads that the process may use
 * @param memoryBytes physical memory; null where unknown
 * @param runtime JDK, or what else ran the work, with its version
 * @param tornadovm version of TornadoVM; null where there is none
 * @param version version of this project
 * @param commit its commit; null where unknown
 */
public record Environment(
        @Limits(length = 500) String os,
        @Limits(length = 500) String cpu,
        @Limits(min = 1, max = 1e6) int cores,
        @Limits(min = 1) Long memoryBytes,
        @Limits(length = 500) String runtime,
        @Limits(optional = true) String tornadovm,
        String version,
        @Limits(optional = true) String commit) {

    /** What a record of other implementations gives as its version. */
    private static final String PEERS = "peers";

    /** The operating system, its processor in Java's words: Python calls the same one x86_64. */
    @JsonIgnore
    public String system() {
        return os.replaceFirst("\\bx86_64$", "amd64").replaceFirst("\\barm64$", "aarch64");
    }

    /** Whether this is of other implementations, which do not run on Java. */
    @JsonIgnore
    public boolean isOfPeers() {
        return PEERS.equals(version);
    }
}
