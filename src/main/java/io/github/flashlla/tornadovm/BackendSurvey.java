package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.tornadovm.SurveyCache.Answer;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * Asks each backend for its devices in a JVM of its own, so that a driver that crashes or hangs does not hide the others.
 * Asking takes a second or two, so answers are kept: in memory for the life of this JVM, and on disk until something
 * changes.
 */
public final class BackendSurvey {
    private static final String PROVIDER = "io/github/flashlla/tornado/LlaTasks.class";
    private static final long LIMIT_SECONDS = 60;
    private static Discovery known;
    /** Whether {@link #known} has absences that an earlier process was told of. */
    private static boolean absencesKept;
    private static CacheFolder.Examination cacheState = new CacheFolder.Examination(true, "not looked at");

    private BackendSurvey() {}

    /** Devices of all backends, and the backends without any, with the reason; from {@link SurveyCache} where nothing changed. */
    public static synchronized Discovery all() {
        if (known == null) {
            known = ask(answer -> true);
        }
        return known;
    }

    /** As {@link #all()}, but a backend that an earlier process found absent is asked by this one. */
    static synchronized Discovery again() {
        if (known == null || absencesKept) {
            known = ask(answer -> !answer.absent());
        }
        return known;
    }

    /** As {@link #all()}, but every backend is asked, whatever was known. */
    public static synchronized Discovery refresh() {
        known = ask(answer -> false);
        return known;
    }

    /** For people: each reason, and the names of the backends that it keeps away, {@code opencl, spirv}. */
    public static Map<String, String> byReason(List<Absence> absences) {
        Map<String, String> backends = new LinkedHashMap<>();
        absences.forEach(absence -> backends.merge(absence.reason(), absence.backend(), (all, one) -> all + ", " + one));
        return backends;
    }

    /** Where the answers of earlier processes lie, and whether they were used. */
    static synchronized CacheFolder.Examination cacheState() {
        return cacheState;
    }

    /** Why no JVM can be started for this backend, in one sentence; empty if one can. */
    static Optional<String> obstacle(Optional<TornadoSdk> sdk, Backend backend) {
        if (sdk.isEmpty()) {
            return Optional.of(TornadoSdk.absence());
        }
        Optional<String> unsupported = sdk.get().unsupported();
        if (unsupported.isPresent()) {
            return unsupported;
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
            return Optional.of(e.getMessage()); // a damaged SDK disables its own backends only
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

    /** @param holds which answers of earlier processes are taken */
    private static Discovery ask(Predicate<Answer> holds) {
        Optional<TornadoSdk> sdk = TornadoSdk.find();
        Optional<SurveyCache> cache = sdk.map(SurveyCache::of);
        Map<Backend, Answer> cached = cache.map(SurveyCache::read).orElse(Map.of());
        Map<Backend, CompletableFuture<Answer>> answers = new EnumMap<>(Backend.class);
        absencesKept = false;
        for (Backend backend : Backend.values()) {
            answers.put(backend, obstacle(sdk, backend)
                    .map(why -> CompletableFuture.completedFuture(Answer.passing(absent(backend, why))))
                    .orElseGet(() -> cached.containsKey(backend) && holds.test(cached.get(backend)) ? CompletableFuture.completedFuture(cached.get(backend))
                            : CompletableFuture.supplyAsync(() -> ask(sdk.orElseThrow(), backend))));
        }
        List<DeviceInfo> devices = new ArrayList<>();
        List<Absence> absences = new ArrayList<>();
        Map<Backend, Answer> found = new EnumMap<>(Backend.class);
        answers.forEach((backend, future) -> {
            Answer answer = future.join();
            devices.addAll(answer.discovery().devices());
            absences.addAll(answer.discovery().absences());
            if (answer.askedMillis() != 0) {
                found.put(backend, answer);
                absencesKept |= answer.absent() && answer.equals(cached.get(backend));
            }
        });
        if (!found.equals(cached)) {
            cache.ifPresent(c -> c.write(found));
        }
        cacheState = cache.map(SurveyCache::state).orElse(new CacheFolder.Examination(true, "none, for there is no SDK"));
        return new Discovery(List.copyOf(devices), List.copyOf(absences));
    }

    private static Answer ask(TornadoSdk sdk, Backend backend) {
        try (ScratchFolder folder = new ScratchFolder("survey")) {
            return ask(sdk, backend, folder);
        } catch (IOException | RuntimeException e) {
            return Answer.passing(absent(backend, "could not be asked for its devices: " + e.getMessage()));
        }
    }

    /** Only what the backend's own process answered is kept: one that hangs or crashes may do better the next time. */
    private static Answer ask(TornadoSdk sdk, Backend backend, ScratchFolder folder) throws IOException {
        Path answer = folder.resolve("devices.json");
        JavaCommand java = TornadoFlags.command(sdk, List.of(backend), -1).with(List.of("-XX:TieredStopAtLevel=1"));
        try (ChildJvm child = ChildJvm.start(java, folder, BackendSurveyMain.class, List.of(backend.id(), answer.toString()))) {
            if (!child.awaitEnd(TimeUnit.SECONDS.toMillis(LIMIT_SECONDS))) {
                return Answer.passing(absent(backend, Thread.currentThread().isInterrupted()
                        ? "was not asked for its devices, since this thread was interrupted"
                        : "its driver did not answer within " + LIMIT_SECONDS + " s; run flashlla doctor"));
            }
            if (!Files.exists(answer)) {
                return Answer.passing(absent(backend, "its driver does not start: " + reason(child.said()) + "; " + backend.remedy()));
            }
        }
        Discovery found = new ObjectMapper().readValue(answer.toFile(), Discovery.class);
        return Answer.now(new Discovery(found.devices(), found.absences().stream().map(a -> new Absence(a.backend(), plain(a.reason()))).toList()));
    }

    /** The most informative line that a failed JVM printed. */
    private static String reason(List<String> said) {
        List<String> lines = said.stream().filter(line -> !line.startsWith("WARNING") && !line.startsWith("at ")).toList();
        return lines.stream().filter(line -> line.startsWith("Caused by") || line.contains("rror")).reduce((a, b) -> b)
                .or(() -> lines.stream().reduce((a, b) -> b)).orElse("it ended without a word");
    }

    private static Discovery absent(Backend backend, String reason) {
        return new Discovery(List.of(), List.of(new Absence(backend.id(), plain(reason))));
    }

    /** Removes the terminal colours that drivers put into messages, TornadoVM's words for their weight, and what it would do without us. */
    private static String plain(String text) {
        return text.replaceAll("\u001b\\[[0-9;]*m", "").replaceAll("\\p{Cntrl}+", " ").replaceAll("\\[[A-Z]+\\] ", "")
                .replace(". Deoptimizing to sequential execution", "");
    }
}
