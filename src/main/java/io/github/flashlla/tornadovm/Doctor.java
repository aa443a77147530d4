package io.github.flashlla.tornadovm;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.process.VectorModule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Looks at everything that TornadoVM's devices depend on, from outside: nothing of TornadoVM is loaded here. */
public final class Doctor {
    /**
     * @param level how grave
     * @param subject what was looked at
     * @param text what was found
     * @param remedy what it means and the command that mends it; empty where nothing needs mending
     */
    public record Finding(Level level, String subject, String text, String remedy) {}

    public enum Level {
        OK, NOTE, PROBLEM
    }

    private static final Pattern ABSOLUTE_JAR_FOLDER = Pattern.compile("--upgrade-module-path\\s+(\\S+)");
    private static final Path VENDORS = Path.of("/etc/OpenCL/vendors");

    private final List<Finding> findings = new ArrayList<>();

    private Doctor() {}

    public static List<Finding> examine() {
        Doctor doctor = new Doctor();
        doctor.java();
        Optional<TornadoSdk> sdk = TornadoSdk.find();
        doctor.sdk(sdk);
        doctor.openCl();
        doctor.nvidia();
        doctor.backends();
        return doctor.findings;
    }

    private void java() {
        Runtime.Version version = Runtime.version();
        String text = version + ", " + System.getProperty("java.vendor") + ", " + System.getProperty("java.home");
        if (version.feature() == 25) {
            ok("JDK", text);
        } else {
            note("JDK", text, "TornadoVM's jdk25 SDKs run on JDK 25 only: 'sdk install java 25-tem'");
        }
        if (VectorModule.isPresent()) {
            ok("Vector API", "enabled");
        } else {
            note("Vector API", "off, so the jvm device computes with scalars, several times slower",
                    "start java with " + VectorModule.FLAG);
        }
    }

    private void sdk(Optional<TornadoSdk> found) {
        if (found.isEmpty()) {
            note("TornadoVM SDK", TornadoSdk.absence(), "without it there are the devices jvm and reference");
            return;
        }
        try {
            examine(found.get());
        } catch (DeviceException e) {
            problem("TornadoVM SDK", e.getMessage(), "without it there are the devices jvm and reference");
        }
    }

    private void examine(TornadoSdk sdk) {
        Optional<String> unsupported = sdk.unsupported();
        if (unsupported.isPresent()) {
            note("TornadoVM SDK", unsupported.get(), "without it there are the devices jvm and reference");
            return;
        }
        List<String> drivers = Stream.of(Backend.values()).filter(sdk::has).map(Backend::id).toList();
        ok("TornadoVM SDK", sdk.version() + " at " + sdk.home() + " with " + String.join(", ", drivers));
        try {
            Matcher path = ABSOLUTE_JAR_FOLDER.matcher(Files.readString(sdk.argumentFile()));
            if (path.find() && !Files.isDirectory(Path.of(path.group(1)))) {
                note("tornado-argfile", "stale: it points at " + path.group(1) + ", which is gone; the SDK was moved",
                        "flashlla makes its own flags and does not mind; to mend it, run " + sdk.home()
                                + "/bin/tornado --generate-argfile");
            } else {
                ok("tornado-argfile", sdk.argumentFile().toString());
            }
        } catch (IOException e) {
            problem("tornado-argfile", "cannot be read: " + e.getMessage(), "install the SDK again");
        }
        boolean graalInImage = java.lang.module.ModuleFinder.ofSystem().find("org.graalvm.truffle.compiler").isPresent();
        if (sdk.upgradeJars().isEmpty() && !graalInImage) {
            problem("Graal compiler", "missing from " + sdk.upgradeFolder(), "install the SDK again");
        }
    }

    private void openCl() {
        if (Backend.OPENCL.libraryLoads()) {
            ok("OpenCL loader", Backend.OPENCL.library() + " loads");
        } else {
            note("OpenCL loader", Backend.OPENCL.library() + " is not found, so opencl and spirv are absent",
                    "apt install ocl-icd-libopencl1");
        }
        String other = System.getenv("OCL_ICD_VENDORS");
        Path folder = other == null ? VENDORS : Path.of(other);
        List<Path> drivers = List.of();
        try (Stream<Path> files = Files.list(folder)) {
            drivers = files.filter(file -> file.toString().endsWith(".icd")).sorted().toList();
        } catch (IOException e) {
            // as good as empty
        }
        if (drivers.isEmpty()) {
            note("OpenCL drivers", "none in " + folder, Backend.OPENCL.remedy());
        }
        for (Path driver : drivers) {
            try {
                String library = Files.readString(driver).strip();
                boolean gone = library.startsWith("/") && !Files.exists(Path.of(library));
                if (gone) {
                    problem("OpenCL driver", driver + " names " + library + ", which does not exist",
                            "install that driver again, or remove the file");
                } else {
                    ok("OpenCL driver", driver + " -> " + library);
                }
            } catch (IOException e) {
                problem("OpenCL driver", driver + " cannot be read: " + e.getMessage(), "check its permissions");
            }
        }
    }

    private void nvidia() {
        if (!Backend.CUDA.libraryLoads()) {
            note("NVIDIA driver", Backend.CUDA.library() + " is not found, so ptx and cuda are absent",
                    "on a machine with an NVIDIA GPU, install its driver");
            return;
        }
        ok("NVIDIA driver", Backend.CUDA.library() + " loads" + nvidiaVersion());
    }

    private static String nvidiaVersion() {
        try {
            Process process = new ProcessBuilder("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
                    .redirectErrorStream(true).start();
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return ", but nvidia-smi does not answer";
            }
            String text = new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8).strip();
            return process.exitValue() == 0 ? "; " + text.replace("\n", "; ") : ", but nvidia-smi says: " + text;
        } catch (IOException e) {
            return "; nvidia-smi is not installed";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "";
        }
    }

    private void backends() {
        Discovery discovery = BackendSurvey.refresh();
        CacheFolder.Examination devices = BackendSurvey.cacheState();
        if (!devices.sound()) {
            note("device cache", devices.text(), "every command asks the backends again; FLASHLLA_CACHE names another folder");
        } else {
            ok("device cache", devices.text());
        }
        CacheFolder.Examination kernels = KernelCache.examine();
        if (kernels.sound()) {
            ok("kernel cache", kernels.text());
        } else {
            note("kernel cache", kernels.text(), "every process compiles those kernels again; FLASHLLA_CACHE names another folder");
        }
        ClassArchive.examine().ifPresent(classes -> {
            if (classes.sound()) {
                ok("class archives", classes.text());
            } else {
                note("class archives", classes.text(), "the next run on that backend writes them again");
            }
        });
        for (DeviceInfo device : discovery.devices()) {
            ok(device.name(), device.hardware() + ", " + device.vendor() + ", " + device.driver());
        }
        BackendSurvey.byReason(discovery.absences()).forEach((reason, backends) -> note(backends, "absent", reason));
    }

    private void ok(String subject, String text) {
        findings.add(new Finding(Level.OK, subject, text, ""));
    }

    private void note(String subject, String text, String remedy) {
        findings.add(new Finding(Level.NOTE, subject, text, remedy));
    }

    private void problem(String subject, String text, String remedy) {
        findings.add(new Finding(Level.PROBLEM, subject, text, remedy));
    }
}
