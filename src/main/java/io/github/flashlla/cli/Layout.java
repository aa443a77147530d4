package io.github.flashlla.cli;

import io.github.flashlla.Tensor;

/** Order of axes in files: batch, heads, tokens (s) and dim. */
enum Layout {
    BHSD, BSHD;

    /** As users type them. */
    static final class Names extends LowerCase {
        Names() {
            super(Layout.class);
        }
    }

    /** A file's tensor of rank 4, or of rank 3 without a dim, with heads before tokens. Nothing is copied. */
    Tensor headsFirst(Tensor file) {
        return this == BHSD ? file : swapped(file);
    }

    /** The way back, row-major. */
    Tensor forFile(Tensor tensor) {
        return this == BHSD ? tensor : swapped(tensor).copy();
    }

    private static Tensor swapped(Tensor tensor) {
        return tensor.rank() == 3 ? tensor.permute(0, 2, 1) : tensor.permute(0, 2, 1, 3);
    }
}
