package io.github.flashlla.tornadovm;

import io.github.flashlla.io.OutputFile;
import io.github.flashlla.text.Numbers;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Compiled kernels, kept from process to process: one file for each in the folder {@code kernels} of the cache.
 *
 * <p>A file's name is a digest of all that the code depends on: the SDK, the JDK, drivers and the environment, and what the caller
 * adds, as the device, this project's kernels and the values compiled in. Where one of these changes, another file is meant. A file
 * ends with a checksum. One that is cut off, is not ours, or cannot be written is as good as none; {@link #examine} says so to
 * {@link Doctor}. Files appear whole, so that processes may write the same one at once.
 */
public final class KernelCache {
    private static final String FORMAT = "flashlla kernel 1";
    private static final String SUFFIX = ".kernel";
    private static final int CHECKSUM_BYTES = 32;
    /** The oldest files are removed when there are more. */
    private static final long MOST_BYTES = 512L << 20;
    private static final int MOST_FILES = 4096;
    /** A file that is used counts as new; its time is set this often. */
    private static final long DAY_MILLIS = 86_400_000;

    /**
     * A file's content.
     *
     * @param name of the kernel's entry point
     * @param notes what else the caller needs to know of it
     * @param code source or binary, as the backend's driver takes it
     */
    public record Kernel(String name, List<String> notes, byte[] code) {}

    private final Path folder;
    private final String surroundings;
    private final int mostFiles;
    private final long mostBytes;

    KernelCache(Path folder, String surroundings, int mostFiles, long mostBytes) {
        this.folder = folder;
        this.surroundings = surroundings;
        this.mostFiles = mostFiles;
        this.mostBytes = mostBytes;
    }

    /**
     * The cache of this user, for this SDK and these facts; empty where no SDK is found.
     *
     * @param facts what code depends on beside the SDK, the JDK, drivers and the environment
     */
    public static Optional<KernelCache> of(List<String> facts) {
        return TornadoSdk.find().map(sdk -> {
            List<String> all = new ArrayList<>(Surroundings.ofCode(Surroundings.facts(sdk)));
            all.addAll(facts);
            return new KernelCache(folder(), Surroundings.digest(all), MOST_FILES, MOST_BYTES);
        });
    }

    private static Path folder() {
        return SurveyCache.folder().resolve("kernels");
    }

    /** What was kept under this key; empty where there is nothing, or nothing that can be used. */
    public Optional<Kernel> read(String key) {
        Path file = file(key);
        try {
            Optional<Kernel> kernel = parse(Files.readAllBytes(file), digest(key));
            if (kernel.isPresent() && System.currentTimeMillis() - Files.getLastModifiedTime(file).toMillis() > DAY_MILLIS) {
                Files.setLastModifiedTime(file, FileTime.fromMillis(System.currentTimeMillis()));
            }
            return kernel;
        } catch (IOException | RuntimeException e) {
            return Optional.empty();
        }
    }

    /** Keeps a kernel; where the folder takes no files, nothing happens. */
    public void write(String key, Kernel kernel) {
        try {
            Files.createDirectories(folder);
            try (OutputFile output = OutputFile.create(file(key))) {
                Files.write(output.temporary(), format(kernel, digest(key)));
                output.commit();
            }
            CacheFolder.removeOldest(folder, SUFFIX, mostFiles, mostBytes);
        } catch (IOException | RuntimeException e) {
            // as good as no cache; doctor tells
        }
    }

    private Path file(String key) {
        return folder.resolve(digest(key) + SUFFIX);
    }

    private String digest(String key) {
        return Surroundings.digest(List.of(surroundings, key));
    }

    private static byte[] format(Kernel kernel, String digest) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeUTF(FORMAT);
        out.writeUTF(digest);
        out.writeUTF(kernel.name());
        out.writeInt(kernel.notes().size());
        for (String note : kernel.notes()) {
            out.writeUTF(note);
        }
        out.writeInt(kernel.code().length);
        out.write(kernel.code());
        out.write(Surroundings.sha256().digest(bytes.toByteArray()));
        return bytes.toByteArray();
    }

    /** @param digest that the file must have been written for */
    private static Optional<Kernel> parse(byte[] file, String digest) throws IOException {
        int length = file.length - CHECKSUM_BYTES;
        if (length <= 0) {
            return Optional.empty();
        }
        MessageDigest sum = Surroundings.sha256();
        sum.update(file, 0, length);
        if (!Arrays.equals(sum.digest(), Arrays.copyOfRange(file, length, file.length))) {
            return Optional.empty();
        }
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(file, 0, length));
        if (!in.readUTF().equals(FORMAT)) {
            return Optional.empty();
        }
        String writtenFor = in.readUTF();
        if (!digest.equals(writtenFor)) {
            return Optional.empty();
        }
        String name = in.readUTF();
        List<String> notes = new ArrayList<>();
        for (int count = in.readInt(); count > 0; count--) {
            notes.add(in.readUTF());
        }
        return Optional.of(new Kernel(name, List.copyOf(notes), in.readNBytes(in.readInt())));
    }

    static CacheFolder.Examination examine() {
        return examine(folder());
    }

    static CacheFolder.Examination examine(Path folder) {
        Path there = folder;
        while (there != null && Files.notExists(there)) {
            there = there.getParent();
        }
        if (there == null || !Files.isDirectory(there) || !Files.isWritable(there)) {
            return new CacheFolder.Examination(false, folder + ", not written: the folder refuses files");
        }
        if (!there.equals(folder)) {
            return new CacheFolder.Examination(true, folder + ", empty");
        }
        int sound = 0;
        int broken = 0;
        long bytes = 0;
        try {
            for (Path file : CacheFolder.files(folder, SUFFIX)) {
                String name = file.getFileName().toString();
                byte[] content = readOrEmpty(file);
                if (holds(content, name.substring(0, name.length() - SUFFIX.length()))) {
                    sound++;
                    bytes += content.length;
                } else {
                    broken++;
                }
            }
        } catch (IOException e) {
            return new CacheFolder.Examination(false, folder + ", not used: it cannot be listed");
        }
        String kept = folder + ", " + Numbers.count(sound, "kernel") + ", " + Numbers.bytes(bytes);
        return broken == 0 ? new CacheFolder.Examination(true, kept) : new CacheFolder.Examination(false, kept + "; " + Numbers.count(broken, "file")
                + (broken == 1 ? " is" : " are") + " ignored, since what is in " + (broken == 1 ? "it" : "them")
                + " is not what this program writes");
    }

    private static byte[] readOrEmpty(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            return new byte[0];
        }
    }

    private static boolean holds(byte[] content, String digest) {
        try {
            return parse(content, digest).isPresent();
        } catch (IOException | RuntimeException e) {
            return false;
        }
    }
}
