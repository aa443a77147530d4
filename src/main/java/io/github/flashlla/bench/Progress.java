package io.github.flashlla.bench;

/** Told what a measurement is doing; for people, not for data. */
public interface Progress {
    Progress SILENT = phase -> {};

    /** @param phase a few words, such as {@code warm-up 2} */
    void phase(String phase);
}
