package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Files that all appear when everything is done, or none of them. */
public final class OutputFiles implements AutoCloseable {
    private final List<OutputFile> files = new ArrayList<>();
    private Path made;

    /** A file that appears with the others. */
    public OutputFile add(Path file) {
        OutputFile output = OutputFile.create(file);
        files.add(output);
        return output;
    }

    /** Creates the output folder; it is deleted again if no file is committed to it. */
    public void makeFolder(Path folder) {
        if (Files.isDirectory(folder)) {
            return;
        }
        try {
            Files.createDirectory(folder);
            made = folder;
        } catch (IOException e) {
            throw new InvalidInputException("the folder " + folder + " cannot be made: "
                    + (Files.exists(folder) ? "there is a file of that name" : "its own folder is not there, or refuses it") + ".");
        }
    }

    public void commit() throws IOException {
        for (OutputFile file : files) {
            file.commit();
        }
        made = null;
    }

    @Override
    public void close() {
        files.forEach(OutputFile::close);
        if (made != null) {
            made.toFile().delete(); // if it is empty
        }
    }
}
