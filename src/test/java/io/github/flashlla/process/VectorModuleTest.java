package io.github.flashlla.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What JVMs started in different ways have of the Vector API, and what they say about it. */
class VectorModuleTest {
    private static final String WARNING = "WARNING: Using incubator modules: jdk.incubator.vector";

    /** Also where other flags change how the JDK finds its modules, as for TornadoVM. */
    @ParameterizedTest
    @ValueSource(strings = {"", "--upgrade-module-path=empty", "-XX:TieredStopAtLevel=1"})
    void loadsTheModuleWithoutAWord(String more) throws Exception {
        assertEquals(List.of("present", "10.0"), said(more.isEmpty() ? List.of(VectorModule.FLAG) : List.of(VectorModule.FLAG, more)));
    }

    @Test
    void takesTheModuleThatTheJvmWasStartedWith() throws Exception {
        List<String> flags = List.of("--add-modules", "jdk.incubator.vector");
        assertEquals(List.of(WARNING, "present", "10.0"), said(flags));
    }

    @Test
    void isAbsentWithoutFlags() throws Exception {
        assertEquals(List.of("absent"), said(List.of()));
    }

    /** What a child JVM is started with gives it the module, too. */
    @Test
    void childrenHaveIt() {
        assertEquals(List.of(VectorModule.FLAG), VectorModule.flags(), "the tests run with " + VectorModule.FLAG);
    }

    /** All that a JVM wrote, on standard error too. */
    private static List<String> said(List<String> flags) throws IOException {
        List<String> words = new ArrayList<>(JavaCommand.of(flags, Map.of()).words());
        words.add(Child.class.getName());
        return new ProcessBuilder(words).redirectErrorStream(true).start().inputReader().readAllLines();
    }

    /** Says whether the module is there, and the sum of four numbers by it. */
    static final class Child {
        public static void main(String[] args) {
            System.out.println(VectorModule.isPresent() ? "present" : "absent");
            if (VectorModule.isPresent()) {
                System.out.println(Sum.ofFour());
            }
        }
    }

    /** A class of its own, for its code names classes of the module. */
    private static final class Sum {
        static float ofFour() {
            FloatVector four = FloatVector.fromArray(FloatVector.SPECIES_128, new float[] {1, 2, 3, 4}, 0);
            return four.reduceLanes(VectorOperators.ADD);
        }
    }
}
