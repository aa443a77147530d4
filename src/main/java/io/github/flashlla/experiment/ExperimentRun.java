package io.github.flashlla.experiment;

import com.fasterxml.jackson.core.JacksonException;
import io.github.flashlla.Device;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.bench.host.EnvironmentProbe;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.io.SmallFile;
import io.github.flashlla.record.Environment;
import io.github.flashlla.record.RecordJson;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BiPredicate;
import java.util.stream.Collectors;

/**
 * Runs an experiment seed by seed. With an output folder, what is done is kept in {@value #UNFINISHED} after every seed and
 * taken up by the next run of the same; record, page and figures replace it at the end.
 */
public final class ExperimentRun {
    private static final String RECORD = "record.json";
    /** The record of a run that has not ended. */
    public static final String UNFINISHED = "unfinished.json";
    private static final int MAX_MEBIBYTES = 64;

    private final Experiment experiment;
    private final boolean quick;
    private final Path folder;

    /**
     * @param folder to write to, made if need be; or null
     * @throws InvalidInputException if there is no such experiment, or the folder cannot be written
     */
    public ExperimentRun(String name, boolean quick, Path folder) {
        this.experiment = Experiments.find(name);
        this.quick = quick;
        this.folder = folder;
        if (folder != null) {
            try {
                Files.createDirectories(folder);
            } catch (FileAlreadyExistsException e) {
                throw new InvalidInputException(folder + " is a file; name a folder to write to");
            } catch (IOException e) {
                throw new InvalidInputException("the folder " + folder + " cannot be made; name one in a folder that is yours");
            }
            OutputFile.requireWritable(folder.resolve(UNFINISHED));
        }
    }

    public List<Long> defaultSeeds() {
        return experiment.seeds(quick);
    }

    /** The result: markdown for people, and whether everything held that must. */
    public record Result(String markdown, boolean holds) {}

    /**
     * @throws InvalidInputException if a file cannot be written
     */
    public Result run(Device device, List<Long> seeds, ExperimentProgress progress) {
        Environment environment = EnvironmentProbe.probe();
        ExperimentRecord record = record(device, environment, List.of(), null);
        Map<Long, SeedResult> done = new TreeMap<>();
        own(RECORD, record, ExperimentRecord::isSameCommand).map(earlier -> earlier.seeds().stream().map(SeedResult::seed).toList())
                .filter(earlier -> !seeds.containsAll(earlier)).ifPresent(earlier -> {
                    throw new InvalidInputException(folder.resolve(RECORD) + " is of seeds " + earlier.stream().map(String::valueOf).collect(Collectors.joining(", "))
                            + ", which this run would lose; name all of them with --seeds, or another folder");
                });
        // another commit or machine gives other curves
        own(UNFINISHED, record, ExperimentRecord::isSameRun).ifPresent(earlier -> earlier.seeds().stream().filter(seed -> seeds.contains(seed.seed()))
                .forEach(seed -> done.put(seed.seed(), seed)));
        progress.begin(experiment.name() + " on " + device.info().name(), seeds.size(), done.size());
        for (long seed : seeds) {
            if (done.containsKey(seed)) {
                continue;
            }
            progress.seed(seed);
            long began = System.nanoTime();
            List<Curve> curves = experiment.run(new Run(device, seed, quick, folder, progress));
            done.put(seed, new SeedResult(seed, Math.round((System.nanoTime() - began) / 1e6) / 1e3, curves));
            progress.seedDone();
            if (folder != null && done.size() < seeds.size()) {
                write(UNFINISHED, json(record(device, environment, List.copyOf(done.values()), null)));
            }
        }
        List<SeedResult> results = seeds.stream().map(done::get).toList();
        ExperimentRecord whole = record(device, environment, results, experiment.conclude(results, quick));
        if (folder != null) {
            write(RECORD, json(whole));
            for (Panel panel : experiment.panels(quick)) {
                write(panel.id() + ".svg", ExperimentReport.figure(panel, results));
            }
            write("README.md", ExperimentReport.markdown(experiment, whole, true));
            delete();
        }
        return new Result(ExperimentReport.markdown(experiment, whole, false), whole.finding().holds());
    }

    private ExperimentRecord record(Device device, Environment environment, List<SeedResult> seeds, Finding finding) {
        return new ExperimentRecord(ExperimentRecord.VERSION, experiment.name(), Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(), finding != null,
                quick, device.info().name(), device.info().hardware(), experiment.setUp(quick), environment, seeds, finding);
    }

    /** What an earlier run left, if any; that of another run is refused: nothing that took long is replaced without a word. */
    private Optional<ExperimentRecord> own(String file, ExperimentRecord record, BiPredicate<ExperimentRecord, ExperimentRecord> areOne) {
        Optional<ExperimentRecord> saved = saved(file);
        saved.filter(earlier -> !areOne.test(record, earlier)).ifPresent(earlier -> {
            throw new InvalidInputException(folder.resolve(file) + " is of another run, " + earlier.experiment() + (earlier.quick() ? " --quick" : "")
                    + " on " + earlier.device() + (record.isSameCommand(earlier) ? ", of another commit or machine" : "")
                    + "; delete it, or name another folder");
        });
        return saved;
    }

    private Optional<ExperimentRecord> saved(String file) {
        if (folder == null || !Files.exists(folder.resolve(file))) {
            return Optional.empty();
        }
        try {
            return Optional.of(RecordJson.COMPACT.readValue(SmallFile.read(folder.resolve(file), file, MAX_MEBIBYTES), ExperimentRecord.class));
        } catch (IOException e) {
            throw new InvalidInputException(folder.resolve(file) + " is no record of an experiment that can be read; delete it, or name another folder");
        }
    }

    private static String json(ExperimentRecord record) {
        try {
            return RecordJson.PRETTY.writeValueAsString(record) + "\n";
        } catch (JacksonException e) {
            throw new IllegalStateException("a record that is no JSON", e);
        }
    }

    private void write(String name, String text) {
        Path file = folder.resolve(name);
        try (OutputFile output = OutputFile.create(file)) {
            Files.writeString(output.temporary(), text);
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be written (" + e.getMessage() + "); free space or name a folder elsewhere with --output");
        }
    }

    private void delete() {
        try {
            Files.deleteIfExists(folder.resolve(UNFINISHED));
        } catch (IOException e) {
            throw new InvalidInputException(folder.resolve(UNFINISHED) + " cannot be deleted; delete it");
        }
    }
}
