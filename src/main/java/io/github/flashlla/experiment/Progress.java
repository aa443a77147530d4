package io.github.flashlla.experiment;

/** Told how far a seed is; for people, not for data. */
public interface Progress {
    Progress SILENT = (share, what) -> {};

    /**
     * @param share of the seed's work that is done, 0 to 1
     * @param what a few words, such as {@code softmax, step 200, loss 1.32}
     */
    void at(double share, String what);
}
