package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** Reads arrays of NumPy's {@code .npz} files, ZIP archives of {@code .npy} files, into memory of their own. */
final class Npz {
    private static final String MEMBER = ".npy";
    /** DEFLATE packs no more than this many bytes into one. */
    private static final long MOST_PACKED = 1032;

    private Npz() {}

    /** @param content the file, or what came through a pipe */
    static Tensor read(TensorFile place, Path content) throws IOException {
        try (ZipFile zip = new ZipFile(content.toFile())) {
            List<String> names = zip.stream().map(ZipEntry::getName).filter(name -> name.endsWith(MEMBER))
                    .map(name -> name.substring(0, name.length() - MEMBER.length())).toList();
            String name = place.name() == null && names.size() == 1 ? names.getFirst() : place.name();
            if (name == null || !names.contains(name)) {
                throw place.unnamed(names);
            }
            return read(zip, zip.getEntry(name + MEMBER), new TensorFile(place.file(), name).toString());
        } catch (InvalidInputException e) { // says it all
            throw e;
        } catch (ZipException | IllegalArgumentException e) { // the latter for names that are no text
            String why = String.valueOf(e.getMessage());
            throw new InvalidInputException(place.file() + " is no .npz file, or is " + (why.contains("END header not found")
                    ? "truncated: an archive's end is missing." : "broken: " + why + "."));
        }
    }

    private static Tensor read(ZipFile zip, ZipEntry entry, String where) throws IOException {
        CheckedInputStream bytes = new CheckedInputStream(zip.getInputStream(entry), new CRC32());
        try (ReadableByteChannel in = Channels.newChannel(bytes)) {
            NpyHeader header = NpyHeader.read(in, where);
            if (entry.getSize() - header.dataOffset() != header.byteSize() || entry.getSize() / MOST_PACKED > entry.getCompressedSize()) {
                throw new InvalidInputException(where + " has the shape " + Tensor.shapeString(header.dims()) + " of " + header.byteSize()
                        + " bytes, but the archive says that it holds " + entry.getSize() + "; it is broken.");
            }
            Tensor tensor = Npy.readAll(in, header, where);
            if (bytes.getChecksum().getValue() != entry.getCrc()) {
                throw new InvalidInputException(where + " is broken: its checksum is wrong.");
            }
            return tensor;
        }
    }
}
