package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.process.JavaCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Suites by name: those of this project. */
final class SuiteNames {
    private SuiteNames() {}

    /** The file of a suite that is named without a folder or an ending; a file of that name here goes first. */
    static Path file(Path suite) {
        if (Files.exists(suite) || suite.getNameCount() != 1 || suite.toString().contains(".")) {
            return suite;
        }
        Path folder = JavaCommand.root().resolve("bench/suites");
        Path own = folder.resolve(suite + ".yaml");
        if (Files.exists(own)) {
            return own;
        }
        try (Stream<Path> files = Files.list(folder)) {
            throw new InvalidInputException("there is no suite '" + suite + "'; there are " + files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".yaml")).map(name -> name.replaceFirst("\\.yaml$", "")).sorted().collect(Collectors.joining(", "))
                    + ", or name a file");
        } catch (IOException e) {
            throw new InvalidInputException("there is no suite '" + suite + "', and no folder of suites beside this program; name a file");
        }
    }
}
