package io.github.flashlla.process;

import java.io.IOException;
import java.io.OutputStream;

/** Ends a child JVM with its parent. */
public final class ParentWatch {
    private ParentWatch() {}

    /** Ends this process when the parent ends, however it ends: the parent holds our standard input open. */
    public static void endWithParent() {
        endWithParent(() -> { });
    }

    /** The same; {@code last} runs before, to clear away what a parent that was killed could not. */
    public static void endWithParent(Runnable last) {
        Thread.ofPlatform().daemon().name("parent-watch").start(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException e) {
                // as good as its end
            }
            last.run();
            Runtime.getRuntime().halt(0);
        });
    }
}
