package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A page that names a class names one that is there, in the package that it says. */
class DocumentedNamesTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();

    /** TornadoVM's, the JDK's, and what only looks like a class. */
    private static final Set<String> OTHERS = Set.of("Float4", "Float16", "FloatArray", "HalfFloat", "VectorFloat16", "ShortVector",
            "TornadoExecutionPlan", "KernelContext", "TaskGraph", "GridScheduler", "WorkerGrid", "HalfFloatArray", "IntArray",
            "Math", "Float", "String", "NaN");

    private static final Pattern QUOTED = Pattern.compile("`([^`]+)`");
    /** Such as {@code BenchmarkRun}, {@code bench/BenchmarkRun} and {@code bench.BenchmarkRun.stop}. */
    private static final Pattern NAME = Pattern.compile("((?:[a-z]+[./])*)([A-Z][a-z]+[A-Z]\\w*|[A-Z][a-z]{3,})(?:[.#][a-z]\\w*)?(?:\\(.*\\))?");
    private static final Pattern DECLARED = Pattern.compile("\\b(?:class|record|enum|interface)\\s+([A-Z]\\w+)");
    private static final Pattern TREE = Pattern.compile("`(src/[\\w./-]+)`");

    @Test
    void namesAreOfClassesThatAreThere() throws IOException {
        Set<String> classes = new HashSet<>(OTHERS);
        Set<String> places = new HashSet<>();
        for (String tree : List.of("src", "bench/jmh")) {
            for (Path source : below(ROOT.resolve(tree), ".java")) {
                places.add("/" + ROOT.relativize(source).toString().replaceFirst("\\.java$", ""));
                DECLARED.matcher(Files.readString(source)).results().forEach(found -> classes.add(found.group(1)));
            }
        }
        List<String> wrong = new ArrayList<>();
        for (Path page : pages()) {
            QUOTED.matcher(Files.readString(page)).results().map(found -> found.group(1)).distinct().forEach(quoted -> {
                Matcher name = NAME.matcher(quoted);
                if (name.matches() && !quoted.startsWith("jdk.")) {
                    String place = "/" + name.group(1).replace('.', '/') + name.group(2);
                    boolean there = classes.contains(name.group(2)) && (name.group(1).isEmpty() || places.stream().anyMatch(p -> p.endsWith(place)));
                    if (!there) {
                        wrong.add(ROOT.relativize(page) + ": " + quoted);
                    }
                }
            });
            TREE.matcher(Files.readString(page)).results().map(found -> found.group(1)).filter(file -> !Files.exists(ROOT.resolve(file)))
                    .forEach(file -> wrong.add(ROOT.relativize(page) + ": " + file));
        }
        assertEquals("", String.join("\n", wrong));
    }

    private static List<Path> pages() throws IOException {
        List<Path> pages = new ArrayList<>(List.of(ROOT.resolve("README.md"), ROOT.resolve("CONTRIBUTING.md")));
        for (String folder : List.of("docs", "bench", "tornado-config")) {
            pages.addAll(below(ROOT.resolve(folder), ".md"));
        }
        assertTrue(pages.size() > 10, pages.toString());
        return pages;
    }

    private static List<Path> below(Path folder, String end) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(end)).sorted().toList();
        }
    }
}
