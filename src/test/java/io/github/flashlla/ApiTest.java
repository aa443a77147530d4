package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * Public API is what {@code src/test/resources/api.txt} lists: a line for each public class, constructor, method and constant of package
 * {@code io.github.flashlla}; and {@code api-tornado.txt} for the task graphs of {@code io.github.flashlla.tornado}, but for methods that name
 * classes of the packages below it. What is gone or changed is a break, which wants a new major version and a line in CHANGELOG.md. What is
 * new may be added at any time; {@code -Dflashlla.api.write=true} writes the files anew.
 */
class ApiTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));
    private static final Path FILE = ROOT.resolve("src/test/resources/api.txt");
    private static final Path TORNADO_FILE = ROOT.resolve("src/test/resources/api-tornado.txt");
    private static final Path CLASSES = ROOT.resolve("target/classes/io/github/flashlla");
    private static final String PACKAGE = "io.github.flashlla.";

    @Test
    void nothingIsBroken() throws IOException, ClassNotFoundException {
        isKept(FILE, signatures(CLASSES, PACKAGE, ApiTest.class.getClassLoader()));
    }

    @Test
    void nothingOfTaskGraphsIsBroken() throws IOException, ClassNotFoundException {
        Assumptions.assumeTrue(Files.exists(CLASSES.resolve("tornado/LlaTasks.class")), "this build has no TornadoVM SDK");
        Path sdk = TornadoSdk.find().orElseThrow().home().resolve("share/java/tornado");
        TreeSet<String> found;
        try (Stream<Path> files = Files.list(sdk)) { // TornadoVM's classes are on no path of this JVM
            Path api = files.filter(file -> file.getFileName().toString().startsWith("tornado-api-")).findFirst().orElseThrow();
            URL[] both = {ROOT.resolve("target/classes/").toUri().toURL(), api.toUri().toURL()};
            try (URLClassLoader loader = new URLClassLoader(both, ClassLoader.getPlatformClassLoader())) {
                found = signatures(CLASSES.resolve("tornado"), PACKAGE + "tornado.", loader);
            }
        }
        found.removeIf(line -> line.split(" ", 2)[1].matches(".*io\\.github\\.flashlla\\.tornado\\.[a-z].*"));
        isKept(TORNADO_FILE, found);
    }

    private static void isKept(Path file, TreeSet<String> found) throws IOException {
        if (Boolean.getBoolean("flashlla.api.write")) {
            Files.write(file, found);
        }
        List<String> promised = Files.readAllLines(file);
        assertFalse(promised.isEmpty());
        List<String> gone = promised.stream().filter(line -> !found.contains(line)).toList();
        assertEquals(List.of(), gone, "these are promised by " + file.getFileName() + " and gone");
    }

    /** A type of the core that a public method gives or takes is public API too, so it must be listed. */
    @Test
    void publicMethodsNameListedTypesOnly() throws IOException {
        List<String> promised = Files.readAllLines(FILE);
        List<String> types = promised.stream().filter(line -> line.startsWith("class ")).map(line -> line.split(" ")[1]).toList();
        List<String> foreign = promised.stream().flatMap(line -> Arrays.stream(line.split("[ (),\\[\\]]")))
                .filter(word -> word.startsWith("io.github.flashlla.")).filter(word -> types.stream().noneMatch(word::startsWith)).distinct().toList();
        assertEquals(List.of(), foreign);
    }

    private static TreeSet<String> signatures(Path folder, String packageName, ClassLoader loader) throws IOException, ClassNotFoundException {
        TreeSet<String> lines = new TreeSet<>();
        List<String> names;
        try (Stream<Path> files = Files.list(folder)) {
            names = files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(".class") && !name.equals("package-info.class"))
                    .map(name -> packageName + name.replace(".class", "")).toList();
        }
        for (String name : names) {
            Class<?> type = Class.forName(name, false, loader);
            if (isPublic(type)) {
                add(type, lines);
            }
        }
        return lines;
    }

    private static boolean isPublic(Class<?> type) {
        return Modifier.isPublic(type.getModifiers()) && !type.isSynthetic() && !type.isAnonymousClass()
                && (type.getEnclosingClass() == null || isPublic(type.getEnclosingClass()));
    }

    private static void add(Class<?> type, TreeSet<String> lines) {
        String bases = Stream.concat(Stream.ofNullable(type.getSuperclass()), Arrays.stream(type.getInterfaces())).map(Class::getName).sorted()
                .collect(Collectors.joining(", "));
        lines.add("class " + type.getName() + " " + Modifier.toString(type.getModifiers() & ~Modifier.SYNCHRONIZED) + " is " + bases);
        List<Member> members = new ArrayList<>();
        members.addAll(List.of(type.getDeclaredConstructors()));
        members.addAll(List.of(type.getDeclaredMethods()));
        members.addAll(List.of(type.getDeclaredFields()));
        for (Member member : members) {
            if ((member.getModifiers() & (Modifier.PUBLIC | Modifier.PROTECTED)) != 0 && !member.isSynthetic()) {
                lines.add(type.getName() + " " + line(member));
            }
        }
    }

    private static String line(Member member) {
        String modifiers = Modifier.toString(member.getModifiers() & (Modifier.PUBLIC | Modifier.PROTECTED | Modifier.STATIC | Modifier.ABSTRACT));
        return switch (member) {
            case Field field -> modifiers + " " + field.getType().getTypeName() + " " + field.getName();
            case Method method -> modifiers + " " + method.getReturnType().getTypeName() + " " + method.getName() + parameters(method);
            case Constructor<?> constructor -> modifiers + " new" + parameters(constructor);
            default -> throw new IllegalStateException(member.toString());
        };
    }

    private static String parameters(Executable executable) {
        return Arrays.stream(executable.getParameterTypes()).map(Class::getTypeName).collect(Collectors.joining(", ", "(", ")"));
    }
}
