package io.github.flashlla.process;

import java.io.IOException;
import java.io.OutputStream;

/** Ends a child JVM with its parent. */
public final class ParentWatch {
    private ParentWatch() {}

    /** Ends this process when the parent ends, however it ends: the parent holds our standard input open. */
    public static void endWithParent() {
        Thread.ofPlatform().daemon().name("parent-watch").start(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException e) {
                // as good as its end
            }
            Runtime.getRuntime().halt(0);
        });
    }
}
