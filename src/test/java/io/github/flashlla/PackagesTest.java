package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.Test;

/** Holds the compiled packages against the picture in {@code docs/architecture.md}. */
class PackagesTest {
    private static final String API = "api";
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root"));
    private static final Pattern USE = Pattern.compile("\\s+io\\.github\\.flashlla(\\S*)\\s+-> io\\.github\\.flashlla(\\S*)\\s.*");
    private static final Pattern ARROW = Pattern.compile("\\s+([\\w.]+)(?:\\[.*?])? --> (.+)");

    @Test
    void noPackagesUseEachOther() {
        Map<String, Set<String>> uses = uses();
        for (String start : uses.keySet()) {
            Set<String> reached = new TreeSet<>();
            Deque<String> open = new ArrayDeque<>(uses.get(start));
            while (!open.isEmpty()) {
                String next = open.pop();
                if (reached.add(next)) {
                    open.addAll(uses.getOrDefault(next, Set.of()));
                }
            }
            assertTrue(!reached.contains(start), start + " uses itself through " + reached);
        }
    }

    /** The picture leaves out what everyone may use, and draws TornadoVM's wing as one box. */
    @Test
    void thePictureShowsWhatUsesWhat() throws IOException {
        Map<String, Set<String>> drawn = new TreeMap<>();
        for (String line : Files.readAllLines(ROOT.resolve("docs/architecture.md"))) {
            Matcher arrow = ARROW.matcher(line);
            if (arrow.matches()) {
                for (String target : arrow.group(2).split(" & ")) {
                    drawn.computeIfAbsent(arrow.group(1), from -> new TreeSet<>()).add(target);
                }
            }
        }
        drawn.keySet().removeIf(from -> from.startsWith("tornado") && !from.equals("tornadovm"));
        Map<String, Set<String>> used = uses();
        used.keySet().removeIf(from -> from.equals("tornado") || from.startsWith("tornado."));
        for (String everyones : new String[] {API, "text"}) {
            used.values().forEach(targets -> targets.remove(everyones));
            drawn.values().forEach(targets -> targets.remove(everyones));
        }
        used.values().removeIf(Set::isEmpty);
        drawn.values().removeIf(Set::isEmpty);
        assertEquals(lines(used), lines(drawn), "docs/architecture.md must draw what the packages use");
    }

    private static String lines(Map<String, Set<String>> graph) {
        StringBuilder text = new StringBuilder();
        graph.forEach((from, targets) -> text.append("  ").append(from).append(" --> ").append(String.join(" & ", targets)).append('\n'));
        return text.toString();
    }

    /** For each package the packages of this project that its classes name. */
    private static Map<String, Set<String>> uses() {
        StringWriter out = new StringWriter();
        ToolProvider jdeps = ToolProvider.findFirst("jdeps").orElseThrow();
        jdeps.run(new PrintWriter(out), new PrintWriter(out), "-verbose:package", "--multi-release", "base", "--ignore-missing-deps",
                ROOT.resolve("target/classes").toString());
        Map<String, Set<String>> uses = new TreeMap<>();
        out.toString().lines().map(USE::matcher).filter(Matcher::matches).filter(m -> !m.group(1).equals(m.group(2)))
                .forEach(m -> uses.computeIfAbsent(name(m.group(1)), from -> new TreeSet<>()).add(name(m.group(2))));
        assertTrue(uses.containsKey("cli"), () -> "jdeps: " + out);
        return uses;
    }

    private static String name(String suffix) {
        return suffix.isEmpty() ? API : suffix.substring(1);
    }
}
