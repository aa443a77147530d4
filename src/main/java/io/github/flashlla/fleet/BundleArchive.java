package io.github.flashlla.fleet;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.bundle.Bundle;
import io.github.flashlla.tornadovm.SurveyCache;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The archive that hosts run.
 *
 * @param file packed by xz
 * @param hash of its content: where it is unpacked on a host
 */
public record BundleArchive(Path file, String hash) {
    private static final int HASH_DIGITS = 24;

    /** A bundle that is there. */
    public static BundleArchive of(Path file) {
        try {
            MessageDigest digest = sha256();
            add(digest, file);
            return new BundleArchive(file, HexFormat.of().formatHex(digest.digest()).substring(0, HASH_DIGITS));
        } catch (IOException e) {
            throw new InvalidInputException("the bundle " + file + " cannot be read; make one with 'flashlla bundle'");
        }
    }

    /** This program as a bundle: packed once, and kept in the cache folder until program or SDK change. */
    public static BundleArchive ofThisProgram(Path jar, Consumer<String> progress) {
        try {
            Path kept = SurveyCache.folder().resolve("bundles").resolve(key(jar) + ".tar.xz");
            if (!Files.exists(kept)) {
                progress.accept("packing this program for other machines, once, which takes a minute or two");
                Files.createDirectories(kept.getParent());
                Bundle.write(kept, true, progress);
            }
            return of(kept);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot pack this program", e);
        }
    }

    private static String key(Path jar) throws IOException {
        MessageDigest digest = sha256();
        add(digest, jar);
        digest.update(TornadoSdk.find().map(sdk -> sdk.home() + " " + sdk.version()).orElse("").getBytes(StandardCharsets.UTF_8));
        try (Stream<Path> libraries = Files.list(jar.resolveSibling("lib"))) {
            libraries.map(file -> file.getFileName().toString()).sorted().forEach(name -> digest.update(name.getBytes(StandardCharsets.UTF_8)));
        }
        return HexFormat.of().formatHex(digest.digest()).substring(0, HASH_DIGITS);
    }

    private static void add(MessageDigest digest, Path file) throws IOException {
        byte[] block = new byte[1 << 16];
        try (InputStream in = Files.newInputStream(file)) {
            for (int count = in.read(block); count >= 0; count = in.read(block)) {
                digest.update(block, 0, count);
            }
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }
}
