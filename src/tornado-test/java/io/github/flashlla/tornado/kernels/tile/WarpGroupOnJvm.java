package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.NoSuchElementException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The Java bodies of {@link WarpGroup}'s operations, on emulated warps. */
class WarpGroupOnJvm implements WarpGroupChecks {
    private static final WarpGroupKernels RUN = new WarpGroupKernels();

    @BeforeAll
    static void run() {
        RUN.runOnJvm();
    }

    @Test
    void needsAWarp() {
        assertThrows(NoSuchElementException.class, WarpGroup::fence);
        assertThrows(NoSuchElementException.class, WarpGroup::publish);
        assertThrows(NoSuchElementException.class, () -> WarpGroup.hold(new float[4], 0, 4));
    }

    @Override
    public WarpGroupKernels kernels() {
        return RUN;
    }
}
