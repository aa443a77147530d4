package io.github.flashlla.spark;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import java.io.IOException;
import java.io.Serializable;

/** A part of a problem that is a problem itself, for one task. A task that is lost is done again: both methods may be called twice. */
public interface Shard extends Serializable {

    /** What to compute, read where the task runs. */
    LlaInputs inputs() throws IOException;

    /** Leaves the result where it belongs. */
    void store(LlaResult result) throws IOException;
}
