package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;

/** What one work-group of a kernel takes of a device. */
public interface GroupNeeds {

    int groupThreads(AttentionShape shape);

    /** Local memory. */
    int localBytes(AttentionShape shape);
}
