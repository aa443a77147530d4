package io.github.flashlla.fleet;

import java.util.List;
import java.util.stream.Collectors;

/** Words and scripts for a POSIX shell. */
final class Shell {
    /** Begins the lines by which a script tells how far it is. */
    static final String MARK = "flashlla-fleet: ";
    static final String HERE = MARK + "here";
    static final String WANTS_XZ = MARK + "wants xz";
    static final String WANTS_TAR = MARK + "wants tar";
    static final String ENDED = MARK + "ended ";
    /** A script that shows that its machine can be reached. */
    static final String HELLO = "echo '" + MARK + "reached'";

    private Shell() {}

    /** One word. */
    static String quoted(String word) {
        return "'" + word.replace("'", "'\\''") + "'";
    }

    static String quoted(List<String> words) {
        return words.stream().map(Shell::quoted).collect(Collectors.joining(" "));
    }

    /**
     * Unpacks the bundle that comes on standard input where it is not there yet. Two at once on one file system do no harm.
     *
     * @param folder expression of the shell for where bundles lie
     */
    static String install(String folder, String hash) {
        return """
                b=%s
                d=$b/%s
                if [ -x "$d/flashlla/bin/flashlla" ]; then echo '%s'; exit 0; fi
                p=$b/part.$$
                mkdir -p "$p" || exit 1
                trap 'rm -rf "$p"' EXIT
                if command -v xz >/dev/null 2>&1; then echo '%s'; tar -xJf - -C "$p"; else echo '%s'; tar -xf - -C "$p"; fi || exit 1
                [ -x "$p/flashlla/bin/flashlla" ] || exit 1
                mkdir -p "$d" || exit 1
                mv "$p/flashlla" "$d/" 2>/dev/null || [ -x "$d/flashlla/bin/flashlla" ] || exit 1
                echo '%s'
                """.formatted(folder, hash, HERE, WANTS_XZ, WANTS_TAR, HERE);
    }

    /**
     * Runs a command until it ends, or until standard input does: whoever loses the connection takes the command with it.
     *
     * @param before lines before it, which may set variables that {@code command} uses
     */
    static String run(String before, String command, String after) {
        return """
                %s
                exec 3<&0
                %s </dev/null 3<&- & p=$!
                (while read -r x; do :; done <&3; kill $p) >/dev/null 2>&1 & w=$!
                exec 3<&-
                trap 'kill $p 2>/dev/null' HUP INT TERM
                wait $p; s=$?
                kill $w 2>/dev/null
                %s
                echo '%s'$s
                """.formatted(before, command, after, ENDED);
    }
}
