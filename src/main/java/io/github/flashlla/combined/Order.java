package io.github.flashlla.combined;

import java.io.IOException;
import java.io.Serializable;

/**
 * What the parent asks of a part's process.
 *
 * @param <R> what comes back
 */
interface Order<R extends Serializable> extends Serializable {

    /** Carries it out in the part's process; what it throws is thrown again in the parent. */
    R run(PartState part) throws IOException;

    /** Whether the part may begin with further such orders before it has ended this one. */
    default boolean overlaps() {
        return false;
    }
}
