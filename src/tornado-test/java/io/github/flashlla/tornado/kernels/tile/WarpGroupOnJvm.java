package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.NoSuchElementException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The Java bodies of {@link WarpGroup}'s operations, on emulated warps. */
class WarpGroupOnJvm {
    private static final WarpGroupKernels RUN = new WarpGroupKernels();
    private final WarpGroupChecks checks = new WarpGroupChecks(RUN);

    @BeforeAll
    static void run() {
        RUN.runOnJvm();
    }

    @Test
    void scores() {
        checks.scores();
    }

    @Test
    void localRows() {
        checks.localRows();
    }

    @Test
    void sums() {
        checks.sums();
    }

    @Test
    void needsAWarp() {
        assertThrows(NoSuchElementException.class, WarpGroup::fence);
        assertThrows(NoSuchElementException.class, WarpGroup::publish);
        assertThrows(NoSuchElementException.class, () -> WarpGroup.hold(new float[4], 0, 4));
    }
}
