package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.BuiltKernels;
import io.github.flashlla.Devices;
import io.github.flashlla.cli.FlashLla;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Every command in README, CONTRIBUTING and the pages of docs and bench: run as it stands, or listed here with the reason why not. */
@DisabledOnOs(OS.WINDOWS)
class DocumentedCommandsIT {
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();
    private static final int LIMIT_SECONDS = 400;

    /** Words that a command begins with, in an indented line or in backquotes; in a fence of {@code sh}, every line is one. */
    private static final Pattern COMMAND = Pattern.compile("(?:flashlla/)?bin/(?:flashlla|kernel-sources)\\b.*|flashlla [a-z].*|\\./mvnw .*|mvn .*|sdk .*"
            + "|python3 .*|bench/\\w+\\.sh .*|source <.*|java @.*|[A-Z_]+=\\S+ bin/.*");

    /** What is not run here, and why. What flashlla would parse of it is parsed all the same. */
    private static final Map<String, String> NOT_RUN = new LinkedHashMap<>();

    /** What is run of a command that takes longer as it stands. */
    private static final Map<String, String> SHORTER = Map.of("bin/flashlla bundle", "bin/flashlla bundle --no-tornado",
            "bin/flashlla bench --device jvm --seq 1024 -r 5", "bin/flashlla bench --device jvm --seq 1024 -r 5 --heads 1 --warm-up 0.1",
            "bin/flashlla bench --device all --operator lla,softmax", "bin/flashlla bench --device jvm --operator lla,softmax --heads 1 --seq 128 -r 1 --warm-up 0.1",
            "bin/flashlla bench --device opencl:0 --kernel parallel --seq 1024",
            "bin/flashlla bench --device opencl:0 --kernel parallel --seq 128 --heads 1 -r 1 --warm-up 0.1");

    static {
        NOT_RUN.put("\\./mvnw (?:verify|test|install).*", "it is Maven that runs this test");
        NOT_RUN.put("\\./mvnw -f src/spark/pom\\.xml .*", "fetches Spark");
        NOT_RUN.put("bin/flashlla run .*--on spark.*", "needs Spark; LocalClusterTest in src/spark computes there");
        NOT_RUN.put("mvn package dependency:.*|java @opencl\\.args -cp .*", "needs a project of the reader's; ArtifactIT does this with the sample");
        NOT_RUN.put("mvn package", "needs the project in the local repository; EmbeddingIT compiles and runs the sample");
        NOT_RUN.put("(?:SPARK_WORKER_OPTS=|spark-submit ).*", "needs a Spark cluster; LocalClusterTest in src/spark has one of its own");
        NOT_RUN.put("nvidia-smi .*", "needs an NVIDIA GPU");
        NOT_RUN.put("bench/record\\.sh (?:cpu|gpu) FOLDER", "takes minutes, and the machine for itself");
        NOT_RUN.put("sdk install .*", "installs software");
        NOT_RUN.put("source <\\(.*", "LauncherIT tries completion in bash");
        NOT_RUN.put("python3 bench/peers/run\\.py .*", "needs PyTorch and its kernels");
        NOT_RUN.put("bin/flashlla bench --hosts .*", "needs other machines; FleetSshIT has two");
        NOT_RUN.put("(?:flashlla/)?bin/flashlla (?:bench|verify) .*(?:cuda|ptx).*", "needs an NVIDIA GPU");
        NOT_RUN.put("flashlla bench .*cuda.*", "needs an NVIDIA GPU");
        NOT_RUN.put("(?:flashlla/)?bin/flashlla bench .*--(?:suite|mode memory).*", "takes minutes; LauncherIT and BenchCommandTest run small ones");
        NOT_RUN.put("bin/flashlla verify --(?:device all|random 1000)", "takes minutes; RandomVerificationTest and TornadoDevicesTest run less");
        NOT_RUN.put("bin/flashlla tune .*", "takes minutes, and would change this user's profile");
        NOT_RUN.put("bin/flashlla experiment (?!list).*", "takes minutes; the tests of experiments run quick ones");
        NOT_RUN.put("bin/kernel-sources .*", "needs TornadoVM, and minutes");
        NOT_RUN.put("FLASHLLA_TORNADO_CONFIG=.*", "needs a folder of the reader's");
        NOT_RUN.put("(?:bin/)?flashlla (?:launcher|compare|flags|bench|verify --random N|bench --suite FILE|devices --kernels SHAPE.*"
                + "|experiment [a-z-]+ -o \\.\\.\\.)", "names the program or a command in a sentence");
    }

    @TempDir
    private static Path folder;

    @TestFactory
    Stream<DynamicTest> everyCommandIsRunOrListed() throws IOException {
        copy(ROOT.resolve("bench"), folder.resolve("bench"));
        Files.createSymbolicLink(folder.resolve("bin"), ROOT.resolve("bin"));
        for (String record : List.of("a.json", "before.json", "after.json", "here.json", "peers.json")) {
            Files.copy(ROOT.resolve("src/test/resources/records/jvm.json"), folder.resolve(record));
        }
        Set<String> used = new HashSet<>();
        Set<String> known = commands().keySet();
        List<DynamicTest> tests = new ArrayList<>();
        commands().forEach((command, page) -> {
            String rule = NOT_RUN.keySet().stream().filter(command::matches).findFirst().orElse(null);
            used.add(rule);
            tests.add(DynamicTest.dynamicTest(page + ": " + command + (rule == null ? "" : " (not run: " + NOT_RUN.get(rule) + ")"),
                    () -> {
                        parse(command);
                        if (rule == null) {
                            Assumptions.assumeTrue(isHere(command), "what it needs is not on this machine");
                            run(SHORTER.getOrDefault(command, command));
                        }
                    }));
        });
        tests.add(DynamicTest.dynamicTest("the bundle runs where it is unpacked",
                () -> run("mkdir elsewhere && cd elsewhere && tar xf ../flashlla-bundle.tar.xz && flashlla/bin/flashlla verify")));
        tests.add(DynamicTest.dynamicTest("no reason is left over", () -> {
            assertEquals(Set.of(), SHORTER.keySet().stream().filter(command -> !known.contains(command)).collect(Collectors.toSet()));
            Set<String> unused = new LinkedHashSet<>(NOT_RUN.keySet());
            unused.removeAll(used);
            assertEquals(Set.of(), unused);
        }));
        return tests.stream();
    }

    /** Each command, and the page that it is on first. */
    private static Map<String, String> commands() throws IOException {
        Map<String, String> commands = new LinkedHashMap<>();
        for (Path page : pages()) {
            String text = Files.readString(page).replace("\\\n", " ");
            boolean shell = false;
            for (String line : text.lines().toList()) {
                List<String> parts = new ArrayList<>();
                if (line.startsWith("```")) {
                    shell = line.matches("```(?:sh|bash|shell|console)");
                } else if (shell && !line.isBlank() && !line.startsWith("#")) {
                    commands.putIfAbsent(line.replaceAll("\\s+", " ").strip(), ROOT.relativize(page).toString());
                } else if (line.startsWith("    ")) {
                    parts.add(line.strip().replaceFirst(" +# .*", ""));
                }
                Matcher quoted = Pattern.compile("`([^`]+)`").matcher(line);
                while (quoted.find()) {
                    parts.add(quoted.group(1));
                }
                parts.stream().map(part -> part.replaceAll("\\s+", " ").strip()).filter(part -> COMMAND.matcher(part).matches())
                        .forEach(part -> commands.putIfAbsent(part, ROOT.relativize(page).toString()));
            }
        }
        assertTrue(commands.size() > 20, commands.toString());
        return commands;
    }

    private static List<Path> pages() throws IOException {
        List<Path> pages = new ArrayList<>(List.of(ROOT.resolve("README.md"), ROOT.resolve("CONTRIBUTING.md")));
        for (String below : List.of("docs", "bench", "tornado-config")) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(below))) {
                files.filter(file -> file.toString().endsWith(".md")).sorted().forEach(pages::add);
            }
        }
        return pages;
    }

    /** Its options are options of flashlla; capital words stand for something. */
    private static void parse(String command) {
        Matcher arguments = Pattern.compile("(?:[A-Z_]+=\\S+ )?(?:(?:flashlla/)?bin/)?flashlla( [a-z].*)?").matcher(command.replaceFirst(" > \\S+$", ""));
        if (!arguments.matches() || command.matches(".*(?: [A-Z]+\\b| \\.\\.\\.).*|.*launcher")) {
            return;
        }
        String[] words = ((arguments.group(1) == null ? "" : arguments.group(1).strip()) + " --help").strip().split(" +");
        StringWriter err = new StringWriter();
        assertEquals(0, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err), words), err::toString);
    }

    private static boolean isHere(String command) throws IOException, InterruptedException {
        if (command.contains("--kernels")) { // told by src/tornado, which is built where an SDK is
            return BuiltKernels.areHere();
        }
        return command.contains("opencl:0") ? Devices.list().stream().anyMatch(device -> device.name().equals("opencl:0"))
                : !command.startsWith("python3") || new ProcessBuilder("python3", "-c", "import numpy").start().waitFor() == 0;
    }

    private static void run(String command) throws IOException, InterruptedException {
        Path said = Files.createTempFile(folder, "said", ".txt");
        ProcessBuilder builder = new ProcessBuilder("bash", "-c", command).directory(folder.toFile()).redirectErrorStream(true)
                .redirectOutput(said.toFile());
        builder.environment().put("FLASHLLA_NO_BUILD", "1");
        builder.environment().put("XZ_OPT", "-T0 -0"); // a bundle that is larger, in a tenth of the time
        Process process = builder.start();
        boolean ended = process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS);
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        String text = Files.readString(said);
        assertTrue(ended, () -> "no end after " + LIMIT_SECONDS + " s\n" + text);
        boolean mayFind = command.endsWith("doctor"); // whose findings are the machine's
        assertTrue(process.exitValue() == 0 || mayFind && process.exitValue() == 1, () -> "status " + process.exitValue() + "\n" + text);
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file)), StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }
}
