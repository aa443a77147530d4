package io.github.flashlla.fleet;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** OpenSSH's server on a port of the loopback, for this user and one key, until it is closed or {@link #die dies}. */
final class SshServer implements AutoCloseable {
    private static final Path PROGRAM = Path.of("/usr/sbin/sshd");

    private final Path folder;
    private final int port;
    private final Process process;

    static boolean isHere() {
        return Files.isExecutable(PROGRAM);
    }

    SshServer(Path folder) throws IOException, InterruptedException {
        this.folder = Files.createDirectories(folder);
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        if (System.getProperty("user.name").equals("root")) {
            Files.createDirectories(Path.of("/run/sshd"));
        }
        for (String key : List.of("host", "user")) {
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder.resolve(key).toString());
        }
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
        Files.writeString(folder.resolve("config"), """
                Port %d
                ListenAddress 127.0.0.1
                HostKey %s
                AuthorizedKeysFile %s
                PidFile none
                StrictModes no
                UsePAM no
                PasswordAuthentication no
                PermitRootLogin prohibit-password
                """.formatted(port, folder.resolve("host"), folder.resolve("user.pub")));
        process = new ProcessBuilder(PROGRAM.toString(), "-D", "-e", "-f", folder.resolve("config").toString()).redirectErrorStream(true)
                .redirectOutput(folder.resolve("log").toFile()).start();
        for (int i = 0; i < 100 && process.isAlive() && !answers(); i++) {
            Thread.sleep(50);
        }
        if (!answers()) {
            throw new IOException("sshd does not answer: " + Files.readString(folder.resolve("log")));
        }
    }

    private boolean answers() {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).inheritIO().start();
        if (!process.waitFor(30, TimeUnit.SECONDS) || process.exitValue() != 0) {
            throw new IOException(String.join(" ", command) + " failed");
        }
    }

    /** What ssh needs to reach it, whatever the user's own configuration says. */
    List<String> options() {
        return List.of("-F", "/dev/null", "-p", Integer.toString(port), "-i", folder.resolve("user").toString(), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=" + folder.resolve("known"), "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR");
    }

    /** Ends the server and its connections at once, as a machine without power does; what runs there stays. */
    void die() {
        List<ProcessHandle> sessions = process.descendants()
                .filter(child -> child.info().command().filter(command -> command.contains("sshd")).isPresent()).toList();
        process.destroyForcibly();
        sessions.forEach(ProcessHandle::destroyForcibly);
    }

    @Override
    public void close() throws InterruptedException {
        die();
        process.waitFor();
    }
}
