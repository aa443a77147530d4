package io.github.flashlla.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.io.ScratchFolder;
import java.util.List;
import org.junit.jupiter.api.Test;

class JavaCommandTest {

    /** Without it a child looks for test vectors and suites in whatever folder the user is in. */
    @Test
    void childrenKnowTheProjectsFolder() throws Exception {
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(JavaCommand.likeThis(), folder, Child.class, List.of())) {
            child.awaitEnd(60_000);
            assertEquals(List.of(System.getProperty("flashlla.root")), child.said());
        }
    }

    static final class Child {
        public static void main(String[] args) {
            System.out.println(System.getProperty("flashlla.root"));
        }
    }
}
