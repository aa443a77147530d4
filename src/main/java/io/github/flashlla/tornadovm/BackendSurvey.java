package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.io.ScratchFolder;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Asks backends for their devices, each in a JVM of its own, so that a driver that crashes or hangs hides no other.
 * Asked once in the life of this JVM: a second or two, and what is installed does not change meanwhile.
 */
public final class BackendSurvey {
    private static final String PROVIDER = "io/github/flashlla/tornado/TornadoDeviceProvider.class";
    private static final long LIMIT_SECONDS = 60;
    private static Discovery known;

    private BackendSurvey() {}

    /** Devices of all backends, and the backends without any, with the reason. */
    public static synchronized Discovery all() {
        if (known == null) {
            known = ask();
        }
        return known;
    }

    /** A JVM that does not exist yet, but whose flags can be made: why not, in one sentence; empty where it can. */
    static Optional<String> obstacle(Optional<TornadoSdk> sdk, Backend backend) {
        if (sdk.isEmpty()) {
            return Optional.of(TornadoSdk.absence());
        }
        if (BackendSurvey.class.getClassLoader().getResource(PROVIDER) == null) {
            return Optional.of("this build has no TornadoVM kernels, since no SDK was there when it was made; build again with "
                    + "./mvnw package");
        }
        if (sdk.get().home().toString().contains(File.pathSeparator)) {
            return Optional.of("the TornadoVM SDK lies at " + sdk.get().home() + ", but Java splits paths at a colon; move it to a folder "
                    + "without one");
        }
        boolean there;
        try {
            there = sdk.get().has(backend);
        } catch (DeviceException e) {
            return Optional.of(e.getMessage()); // a damaged SDK takes its backends along, and no other device
        }
        if (!there) {
            return Optional.of("the TornadoVM SDK at " + sdk.get().home() + " was installed without it; install one with "
                    + "'sdk install tornadovm', version <version>-" + backend.id() + " or -full");
        }
        if (!backend.libraryLoads()) {
            return Optional.of(backend.library() + " is not on this machine; " + backend.remedy());
        }
        return Optional.empty();
    }

    private static Discovery ask() {
        Optional<TornadoSdk> sdk = TornadoSdk.find();
        List<CompletableFuture<Discovery>> answers = Arrays.stream(Backend.values())
                .map(backend -> obstacle(sdk, backend)
                        .map(why -> CompletableFuture.completedFuture(absent(backend, why)))
                        .orElseGet(() -> CompletableFuture.supplyAsync(() -> ask(sdk.orElseThrow(), backend))))
                .toList();
        List<DeviceInfo> devices = new ArrayList<>();
        List<Absence> absences = new ArrayList<>();
        for (CompletableFuture<Discovery> answer : answers) {
            devices.addAll(answer.join().devices());
            absences.addAll(answer.join().absences());
        }
        return new Discovery(List.copyOf(devices), List.copyOf(absences));
    }

    private static Discovery ask(TornadoSdk sdk, Backend backend) {
        try (ScratchFolder folder = new ScratchFolder("survey")) {
            return ask(sdk, backend, folder.resolve("devices.json"), folder.resolve("log"));
        } catch (IOException | RuntimeException e) {
            return absent(backend, "could not be asked for its devices: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return absent(backend, "was not asked for its devices, since this thread was interrupted");
        }
    }

    private static Discovery ask(TornadoSdk sdk, Backend backend, Path answer, Path log)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(TornadoFlags.command(sdk, List.of(backend), -1));
        command.add(1, "-XX:ErrorFile=" + answer.resolveSibling("hs_err.log"));
        command.add(1, "-XX:TieredStopAtLevel=1");
        command.addAll(List.of(BackendSurveyMain.class.getName(), backend.id(), answer.toString()));
        Process process = TornadoFlags.process(sdk, command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            return absent(backend, "its driver did not answer within " + LIMIT_SECONDS + " s; run flashlla doctor");
        }
        if (!Files.exists(answer)) {
            return absent(backend, "its driver does not start: " + reason(log) + "; " + backend.remedy());
        }
        Discovery found = new ObjectMapper().readValue(answer.toFile(), Discovery.class);
        return new Discovery(found.devices(), found.absences().stream().map(a -> new Absence(a.backend(), plain(a.reason()))).toList());
    }

    /** The line that tells most of what a failed JVM printed. */
    private static String reason(Path log) throws IOException {
        List<String> lines = new String(Files.readAllBytes(log), StandardCharsets.UTF_8).lines().map(String::strip)
                .filter(line -> !line.isEmpty() && !line.startsWith("WARNING") && !line.startsWith("at ")).toList();
        return lines.stream().filter(line -> line.startsWith("Caused by") || line.contains("rror")).reduce((a, b) -> b)
                .or(() -> lines.stream().reduce((a, b) -> b)).orElse("it ended without a word");
    }

    private static Discovery absent(Backend backend, String reason) {
        return new Discovery(List.of(), List.of(new Absence(backend.id(), plain(reason))));
    }

    /** Without the colours that drivers put into their words for a terminal. */
    private static String plain(String text) {
        return text.replaceAll("\u001b\\[[0-9;]*m", "").replaceAll("\\p{Cntrl}+", " ");
    }
}
