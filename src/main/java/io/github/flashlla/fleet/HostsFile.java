package io.github.flashlla.fleet;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.YamlFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A file that lists a fleet, in YAML.
 *
 * @param parallel most hosts at once; null for all
 * @param hosts one at least, each with a name of its own
 */
public record HostsFile(Integer parallel, List<Host> hosts) {

    /** @throws InvalidInputException if it cannot be read, or says something unknown or out of range */
    public static HostsFile read(Path file) {
        return YamlFile.read("hosts file", file, HostsFile.class, HostsFile::checked);
    }

    private static HostsFile checked(HostsFile file) {
        if (file.hosts == null || file.hosts.isEmpty() || file.hosts.contains(null)) {
            throw new InvalidInputException("it lists no hosts, or an empty one");
        }
        if (file.parallel != null && file.parallel < 1) {
            throw new InvalidInputException("parallel must be at least 1, not " + file.parallel);
        }
        Set<String> names = new TreeSet<>(String.CASE_INSENSITIVE_ORDER); // as file systems are, here and there
        for (Host host : file.hosts) {
            if (!names.add(host.name())) {
                throw new InvalidInputException("two hosts are called " + host.name() + "; give each a 'name'");
            }
        }
        return file;
    }
}
