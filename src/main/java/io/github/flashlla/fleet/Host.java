package io.github.flashlla.fleet;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A machine of a fleet; exactly one of {@code ssh}, {@code launch} and {@code local} says how it is reached.
 *
 * @param name what records, files and reports call it
 * @param ssh target of the ssh command, as its configuration knows it; null if it is not reached so
 * @param options words for ssh before the target, such as {@code -p}, {@code 2222}
 * @param launch command of this machine's shell in which {} stands for the command to run there; null if it is not reached so
 * @param local whether it is this machine, and this program
 * @param device device selectors in place of the command line's; null for the same
 * @param folder where bundles are unpacked there; null for {@code flashlla-bundles} in the home folder
 */
public record Host(String name, String ssh, List<String> options, String launch, Boolean local, List<String> device, String folder) {
    /** What a launcher's command has where the command to run belongs. */
    public static final String PLACE = "{}";
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,59}");

    private static final Pattern PROGRAM = Pattern.compile("([A-Za-z0-9_./][A-Za-z0-9_./+-]*)\\s");

    public Host {
        options = options == null ? List.of() : List.copyOf(options);
        if (Stream.of(ssh != null, launch != null, Boolean.TRUE.equals(local)).filter(set -> set).count() != 1) {
            throw new InvalidInputException("each host needs one of 'ssh: TARGET', 'launch: COMMAND {}' and 'local: true'");
        }
        if (ssh != null && (ssh.isBlank() || ssh.startsWith("-"))) {
            throw new InvalidInputException("'ssh: " + Printable.text(ssh) + "' is no target; give it as ssh takes it, such as user@machine");
        }
        if (launch != null && !launch.contains(PLACE)) {
            throw new InvalidInputException("'launch: " + Printable.text(launch) + "' has no {}, which stands for the command to run there");
        }
        if (ssh == null && !options.isEmpty()) {
            throw new InvalidInputException("'options' are ssh's; this host is not reached by ssh");
        }
        name = name != null ? name : ssh != null ? ssh.replaceFirst("^.*@", "") : Boolean.TRUE.equals(local) ? "local" : "launched";
        if (!NAME.matcher(name).matches()) {
            throw new InvalidInputException("'" + Printable.text(name) + "' cannot name a host's file; set 'name' to letters, digits, '.', '_' and '-'");
        }
    }

    boolean isLocal() {
        return Boolean.TRUE.equals(local);
    }

    /** The program that {@code launch} begins with; empty where only a shell can tell. */
    String launcher() {
        Matcher first = PROGRAM.matcher(launch.strip());
        return first.lookingAt() ? first.group(1) : "";
    }

    /** A command of this machine that has a shell there run the script. */
    List<String> command(String script) {
        List<String> command = new ArrayList<>();
        if (ssh != null) {
            // no questions, and an end to a connection that is cut off
            command.addAll(List.of("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15",
                    "-o", "ServerAliveCountMax=4"));
            command.addAll(options);
            command.addAll(List.of("--", ssh, "sh -c " + Shell.quoted(script)));
        } else if (launch != null) {
            command.addAll(List.of("sh", "-c", "exec " + launch.replace(PLACE, "sh -c " + Shell.quoted(script))));
        } else {
            command.addAll(List.of("sh", "-c", script));
        }
        return command;
    }

    /** Text of other programs without the name that an alias hides. */
    String hidden(String text) {
        if (ssh == null) {
            return text;
        }
        String machine = ssh.replaceFirst("^.*@", "");
        return text.replaceAll("(?<![\\w.-])(?:" + Pattern.quote(ssh) + "|" + Pattern.quote(machine) + ")(?![\\w-])", name);
    }
}
