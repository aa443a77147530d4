package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Public API is what {@code src/test/resources/api.txt} lists: a line for each public class, constructor, method and constant of package
 * {@code io.github.flashlla}. What is gone or changed is a break, which wants a new major version and a line in CHANGELOG.md. What is new
 * may be added at any time; {@code -Dflashlla.api.write=true} writes the file anew.
 */
class ApiTest {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));
    private static final Path FILE = ROOT.resolve("src/test/resources/api.txt");
    private static final Path CLASSES = ROOT.resolve("target/classes/io/github/flashlla");

    @Test
    void nothingIsBroken() throws IOException, ClassNotFoundException {
        TreeSet<String> found = signatures();
        if (Boolean.getBoolean("flashlla.api.write")) {
            Files.write(FILE, found);
        }
        List<String> promised = Files.readAllLines(FILE);
        assertFalse(promised.isEmpty());
        List<String> gone = promised.stream().filter(line -> !found.contains(line)).toList();
        assertEquals(List.of(), gone, "these are promised by api.txt and gone");
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

    private static TreeSet<String> signatures() throws IOException, ClassNotFoundException {
        TreeSet<String> lines = new TreeSet<>();
        List<String> names;
        try (Stream<Path> files = Files.list(CLASSES)) {
            names = files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(".class") && !name.equals("package-info.class"))
                    .map(name -> "io.github.flashlla." + name.replace(".class", "")).toList();
        }
        for (String name : names) {
            Class<?> type = Class.forName(name, false, ApiTest.class.getClassLoader());
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
