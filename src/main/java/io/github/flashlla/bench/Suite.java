package io.github.flashlla.bench;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.YamlFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;

/**
 * What one run of the benchmark measures: every task on every device.
 *
 * @param name what the record is called unless the caller names it
 * @param devices device selectors as {@link io.github.flashlla.Devices#select} takes them
 * @param tasks without repeats, in order
 * @param protocol how each is measured
 */
public record Suite(String name, List<String> devices, List<Task> tasks, Protocol protocol) {

    public Suite {
        tasks = List.copyOf(new LinkedHashSet<>(tasks)); // what is listed twice is measured once
    }

    /**
     * Refuses, before a process starts, a device that was named and can be given none of the tasks, and devices none of which can. One of a group that
     * cannot is told in its rows.
     *
     * @throws InvalidInputException with the first reason
     */
    public void requireSomethingFor(List<DeviceInfo> chosen) {
        List<String> refusals = new ArrayList<>();
        for (DeviceInfo device : chosen) {
            Optional<String> refusal = Task.refusalOfAll(tasks, device);
            refusal.ifPresent(refusals::add);
            boolean named = devices != null && (devices.contains(device.name()) || devices.contains(device.backend()));
            if (refusal.isPresent() && (named || refusals.size() == chosen.size())) {
                throw new InvalidInputException(refusal.get());
            }
        }
    }

    /**
     * Reads a suite from YAML (or JSON, which is YAML too).
     *
     * @throws InvalidInputException if it cannot be read, or says something unknown or out of range
     */
    public static Suite read(Path file) {
        return YamlFile.read("suite", file, SuiteFile.class, content -> content.suite(stem(file)));
    }

    /** A suite's file as it is written, to be read elsewhere. */
    public static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new InvalidInputException("suite " + file + " cannot be read: " + e.getMessage());
        }
    }

    private static String stem(Path file) {
        return file.getFileName().toString().replaceFirst("\\.[^.]*$", "");
    }

    /** The file as it is written; what is left out is null. */
    record SuiteFile(
            String name,
            List<String> devices,
            Integer repetitions,
            Double sampleS,
            Double warmUpS,
            Double timeLimitS,
            Integer forks,
            Boolean cold,
            List<Grid> workloads) {

        Suite suite(String otherName) {
            if (workloads == null || workloads.isEmpty()) {
                throw new InvalidInputException("it lists no workloads");
            }
            List<Task> tasks = new ArrayList<>();
            for (Grid grid : workloads) {
                if (grid == null) {
                    throw new InvalidInputException("an entry of workloads is empty");
                }
                tasks.addAll(grid.tasks());
            }
            Protocol usual = Protocol.DEFAULT;
            return new Suite(name == null ? otherName : name, devices, tasks, new Protocol(
                    repetitions == null ? usual.repetitions() : repetitions,
                    sampleS != null ? sampleS : repetitions == null ? usual.sampleSeconds() : 0,
                    warmUpS == null ? usual.warmUpSeconds() : warmUpS,
                    timeLimitS == null ? usual.timeLimitSeconds() : timeLimitS,
                    forks == null ? usual.forks() : forks, cold != null && cold));
        }
    }
}
