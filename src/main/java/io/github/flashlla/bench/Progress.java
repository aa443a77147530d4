package io.github.flashlla.bench;

/** Receives what a measurement is doing, for display only. */
public interface Progress {
    Progress SILENT = phase -> {};

    /** @param phase a few words, such as {@code warm-up 2} */
    void phase(String phase);
}
