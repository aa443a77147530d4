package io.github.flashlla.tornadovm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Files of one kind in a folder of the cache, which other processes fill and clear at the same time. */
final class CacheFolder {
    private CacheFolder() {}

    /**
     * What {@link Doctor} tells of a part of the cache.
     *
     * @param sound whether nothing stands in the way
     */
    record Examination(boolean sound, String text) {}

    /** Those whose names end so; none where there is no folder. */
    static List<Path> files(Path folder, String suffix) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(suffix)).toList();
        }
    }

    /** Removes those that were used longest ago until there are no more files and bytes than these. */
    static void removeOldest(Path folder, String suffix, int mostFiles, long mostBytes) throws IOException {
        record Aged(Path file, long millis, long bytes) {}
        List<Aged> files = new ArrayList<>();
        for (Path file : files(folder, suffix)) {
            try {
                files.add(new Aged(file, Files.getLastModifiedTime(file).toMillis(), Files.size(file)));
            } catch (NoSuchFileException e) {
                // another process removed it
            }
        }
        long bytes = files.stream().mapToLong(Aged::bytes).sum();
        int count = files.size();
        files.sort(Comparator.comparingLong(Aged::millis));
        for (Aged oldest : files) {
            if (count <= mostFiles && bytes <= mostBytes) {
                return;
            }
            Files.deleteIfExists(oldest.file());
            count--;
            bytes -= oldest.bytes();
        }
    }
}
