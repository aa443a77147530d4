package io.github.flashlla.io;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and writes {@code .safetensors} files: the length of a JSON header (8 bytes, little-endian), the header, then the tensors'
 * bytes, row-major and little-endian. What the header says is checked against the file's size before anything is mapped: tensors lie
 * one after the other, each as long as its shape needs, and fill the file.
 */
final class Safetensors {
    /** The format's own limit. */
    private static final long MAX_HEADER_BYTES = 100_000_000;
    private static final int ALIGNMENT = 8;
    private static final int MAX_RANK = 32;
    private static final String METADATA = "__metadata__";
    private static final Map<String, DataType> TYPES = Map.of("F64", DataType.FLOAT64, "F32", DataType.FLOAT32, "F16", DataType.FLOAT16, "BF16",
            DataType.BFLOAT16);
    private static final ObjectMapper JSON = JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

    private Safetensors() {}

    /**
     * A tensor as the header has it.
     *
     * @param type as the file calls it
     * @param begin where its bytes begin, counted from the header's end
     */
    private record Entry(String name, String type, long[] dims, long begin, long end) {}

    /** @param content the file, or what came through a pipe */
    static Tensor read(TensorFile place, Path content) throws IOException {
        try (FileChannel in = FileChannel.open(content, StandardOpenOption.READ)) {
            ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            long size = in.size();
            if (size < Long.BYTES + 2) {
                throw bad(place, "is truncated: a .safetensors file has at least 10 bytes, but " + size + " are there");
            }
            readFully(in, length);
            long headerBytes = length.getLong(0);
            if (headerBytes < 2 || headerBytes > Math.min(MAX_HEADER_BYTES, size - Long.BYTES)) {
                throw bad(place, "claims a header of " + Long.toUnsignedString(headerBytes) + " bytes, of " + size
                        + " that the file has; it is truncated, broken or no .safetensors file");
            }
            ByteBuffer text = ByteBuffer.allocate((int) headerBytes);
            readFully(in, text);
            Map<String, Entry> entries = entries(header(place, text.flip()), place);
            long start = Long.BYTES + headerBytes;
            requireFilled(entries, size - start, place);
            String name = place.name() == null && entries.size() == 1 ? entries.keySet().iterator().next() : place.name();
            Entry entry = entries.get(name);
            if (entry == null) {
                throw place.unnamed(entries.keySet());
            }
            DataType type = TYPES.get(entry.type());
            if (type == null) {
                throw bad(place, "holds '" + Printable.text(name) + "' as " + Printable.text(entry.type())
                        + "; supported is F64, F32, F16 and BF16");
            }
            long bytes = entry.end() - entry.begin();
            if (product(entry.dims(), type.bytes(), name, place) != bytes) {
                throw bad(place, "gives '" + Printable.text(name) + "' " + bytes + " bytes, but its shape "
                        + Tensor.shapeString(entry.dims()) + " of " + entry.type() + " needs another number; it is broken");
            }
            return TensorFile.map(in, start + entry.begin(), type, entry.dims(), bytes);
        }
    }

    private static ObjectNode header(TensorFile place, ByteBuffer text) {
        try {
            String json = StandardCharsets.UTF_8.newDecoder().decode(text).toString();
            if (json.startsWith("{") && JSON.readTree(json) instanceof ObjectNode object) {
                return object;
            }
        } catch (JsonProcessingException | CharacterCodingException e) {
            throw bad(place, "has a header that is no JSON; it is broken, or no .safetensors file");
        }
        throw bad(place, "has a header that is no JSON object; it is broken, or no .safetensors file");
    }

    private static Map<String, Entry> entries(ObjectNode header, TensorFile place) {
        Map<String, Entry> entries = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> property : header.properties()) {
            if (!property.getKey().equals(METADATA)) {
                entries.put(property.getKey(), entry(property.getKey(), property.getValue(), place));
            }
        }
        return entries;
    }

    private static Entry entry(String name, JsonNode node, TensorFile place) {
        long[] dims = sizes(node.get("shape"));
        long[] offsets = sizes(node.get("data_offsets"));
        if (dims == null || dims.length > MAX_RANK || offsets == null || offsets.length != 2 || offsets[1] < offsets[0]
                || !node.path("dtype").isTextual()) {
            throw bad(place, "describes '" + Printable.text(name) + "' without a dtype, a shape and two data_offsets in order; it is broken");
        }
        return new Entry(name, node.get("dtype").asText(), dims, offsets[0], offsets[1]);
    }

    /** Null if the node is no list of whole numbers from 0 to 2^63-1. */
    private static long[] sizes(JsonNode list) {
        if (list == null || !list.isArray()) {
            return null;
        }
        long[] sizes = new long[list.size()];
        for (int i = 0; i < sizes.length; i++) {
            JsonNode size = list.get(i);
            if (!size.isIntegralNumber() || !size.canConvertToLong() || size.longValue() < 0) {
                return null;
            }
            sizes[i] = size.longValue();
        }
        return sizes;
    }

    /** Tensors that overlap, leave holes or reach beyond the file are refused, as by the format's own readers. */
    private static void requireFilled(Map<String, Entry> entries, long size, TensorFile place) {
        List<Entry> inOrder = entries.values().stream().sorted(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end)).toList();
        long at = 0;
        for (Entry entry : inOrder) {
            if (entry.begin() != at) {
                throw bad(place, "has '" + Printable.text(entry.name()) + "' begin at byte " + entry.begin() + ", where the tensors before it end at "
                        + at + "; it is broken");
            }
            at = entry.end();
        }
        if (at != size) {
            throw bad(place, "describes " + at + " bytes of tensors, but holds " + size + "; it is truncated or broken");
        }
    }

    private static long product(long[] dims, long bytes, String name, TensorFile place) {
        try {
            for (long dim : dims) {
                bytes = Math.multiplyExact(bytes, dim);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw bad(place, "claims the shape " + Tensor.shapeString(dims) + " for '" + Printable.text(name) + "', more than any memory holds");
        }
    }

    /** The header of a file with one tensor, padded with spaces so that the elements start on an 8-byte boundary. */
    static byte[] format(String name, Tensor tensor) {
        ObjectNode header = JSON.createObjectNode();
        ObjectNode entry = header.putObject(name);
        String type = TYPES.entrySet().stream().filter(known -> known.getValue() == tensor.type()).findFirst().orElseThrow().getKey();
        entry.put("dtype", type);
        for (long dim : tensor.dims()) {
            entry.withArray("shape").add(dim);
        }
        entry.withArray("shape");
        entry.putArray("data_offsets").add(0L).add(tensor.byteSize());
        byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(text.length, ALIGNMENT) * ALIGNMENT;
        ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN).putLong(padded).put(text);
        while (bytes.hasRemaining()) {
            bytes.put((byte) ' ');
        }
        return bytes.array();
    }

    private static void readFully(FileChannel in, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            if (in.read(buffer) < 0) {
                throw new IOException("it shrank while it was read");
            }
        }
    }

    private static InvalidInputException bad(TensorFile place, String what) {
        return new InvalidInputException(place.file() + " " + what + ".");
    }
}
