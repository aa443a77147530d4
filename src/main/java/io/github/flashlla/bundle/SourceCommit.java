package io.github.flashlla.bundle;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** The commit that this program was built from: git tells it in a checkout, the file {@value #FILE} in a bundle. */
public final class SourceCommit {
    static final String FILE = "commit";

    private SourceCommit() {}

    /** Twelve digits, with {@code -dirty} where files differ from the commit; empty without git, or outside a checkout. */
    public static Optional<String> find() {
        try {
            Path program = Path.of(SourceCommit.class.getProtectionDomain().getCodeSource().getLocation().toURI());
            return of(program.toAbsolutePath().getParent().getParent());
        } catch (URISyntaxException | SecurityException e) {
            return Optional.empty();
        }
    }

    /** @param root of the checkout or the bundle; what lies within some other project's checkout is not of its commit */
    static Optional<String> of(Path root) {
        try {
            if (Files.isRegularFile(root.resolve(FILE))) {
                return Optional.of(Files.readString(root.resolve(FILE)).strip()).filter(text -> !text.isEmpty());
            }
            if (!Files.isRegularFile(root.resolve("pom.xml"))) {
                return Optional.empty();
            }
            Process git = new ProcessBuilder("git", "-C", root.toString(), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
                    .redirectError(ProcessBuilder.Redirect.DISCARD).start();
            git.getOutputStream().close();
            String answer = new String(git.getInputStream().readNBytes(200), StandardCharsets.UTF_8).strip();
            return git.waitFor(5, TimeUnit.SECONDS) && git.exitValue() == 0 && !answer.isEmpty() ? Optional.of(answer) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        }
    }
}
