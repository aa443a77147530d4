package io.github.flashlla.tornadovm;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The user's own profiles of devices, which go before those of tornado-config: a file of the same form, written by {@code flashlla tune} or by
 * hand. {@code FLASHLLA_PROFILE} names another file than the usual one.
 */
public final class UserProfile {
    /** System property: the file to use. A JVM that this one starts for a device has it, too. */
    static final String PROPERTY = "flashlla.profile";
    private static final String VARIABLE = "FLASHLLA_PROFILE";

    private UserProfile() {}

    /** The file, whether it is there or not. */
    public static Path file() {
        String named = System.getProperty(PROPERTY, System.getenv(VARIABLE));
        if (named != null && !named.isEmpty()) {
            return Path.of(named);
        }
        String configuration = System.getenv("XDG_CONFIG_HOME");
        Path folder = configuration == null || configuration.isEmpty() ? Path.of(System.getProperty("user.home"), ".config") : Path.of(configuration);
        return folder.resolve("flashlla").resolve("devices.yaml");
    }

    /**
     * What the file says; empty where there is none.
     *
     * @throws InvalidInputException if the environment names a file that is not there, or it cannot be read
     */
    static Optional<String> text() {
        Path file = file();
        String named = System.getenv(VARIABLE);
        if (named != null && System.getProperty(PROPERTY) == null) {
            requireThere(named);
        }
        try {
            return Files.exists(file) ? Optional.of(Files.readString(file)) : Optional.empty();
        } catch (IOException e) {
            throw new InvalidInputException("the profile " + file + " cannot be read (" + e.getMessage() + "); mend it, or name another with " + VARIABLE + ".");
        }
    }

    /** Refuses a file that was named and is not there, for it would be left out without a word. */
    static void requireThere(String named) {
        if (!named.isEmpty() && !Files.exists(Path.of(named))) {
            throw new InvalidInputException(VARIABLE + " is " + named + ", which does not exist; 'flashlla tune' writes it.");
        }
    }

    /** Has every plan of this JVM, and of those that it starts for devices, use this file; null for the usual one. */
    public static void use(Path file) {
        if (file == null) {
            System.clearProperty(PROPERTY);
        } else {
            System.setProperty(PROPERTY, file.toAbsolutePath().toString());
        }
    }
}
