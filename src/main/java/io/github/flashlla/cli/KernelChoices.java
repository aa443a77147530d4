package io.github.flashlla.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.Set;

/** Which kernels would run for a shape on devices, and why not the others: {@code devices --kernels}. */
final class KernelChoices {
    /** What records of earlier versions do not tell; NVIDIA's drivers give a work-group this much. */
    private static final long USUAL_LOCAL_BYTES = 48 << 10;

    private KernelChoices() {}

    /** One table, passes one after another. */
    static String of(List<DeviceInfo> devices, String shapeText, LlaOptions options) {
        AttentionShape shape = shape("--kernels", shapeText);
        List<KernelGuide> guides = ServiceLoader.load(KernelGuide.class).stream().map(ServiceLoader.Provider::get).toList();
        MarkdownTable table = new MarkdownTable("device", "pass", "kernel", "for " + shape, "order from");
        for (DeviceInfo device : devices) {
            List<KernelGuide> knowing = guides.stream().filter(guide -> guide.knows(device)).toList();
            if (knowing.isEmpty()) {
                table.add(device.name(), "all", device.backend(), "runs: it has one way for every shape", "");
            }
            knowing.forEach(guide -> add(table, device, guide.choices(device, shape, options)));
        }
        return table.toString();
    }

    private static void add(MarkdownTable table, DeviceInfo device, List<KernelGuide.Choice> choices) {
        Set<String> chosen = new HashSet<>();
        for (KernelGuide.Choice choice : choices) {
            String verdict = !choice.refusal().isEmpty() ? "no: " + choice.refusal()
                    : chosen.add(choice.pass()) ? "runs" : "could; an earlier one runs";
            Path file = Arrays.stream(Pass.values()).filter(pass -> DeviceProfile.key(pass).equals(choice.pass())).findFirst()
                    .map(pass -> DeviceProfile.chosenBy(device, pass)).orElse(null);
            table.add(device.name(), choice.pass(), choice.kernel(), verdict, file == null ? "tornado-config" : file.toString());
        }
    }

    /** BxHxSxD, or BxHxHkvxSqxSkxDxDv. */
    static AttentionShape shape(String option, String text) {
        try {
            int[] n = Arrays.stream(text.split("x")).mapToInt(Integer::parseInt).toArray();
            switch (n.length) {
                case 4:
                    return AttentionShape.square(n[0], n[1], n[2], n[3]);
                case 7:
                    return new AttentionShape(n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
                default:
                    throw new NumberFormatException();
            }
        } catch (NumberFormatException e) {
            throw new InvalidInputException(option + " takes a shape as BxHxSxD or BxHxHkvxSqxSkxDxDv, such as 1x8x4096x64, not '"
                    + text + "'.");
        }
    }

    /** The devices that a file describes: the output of {@code devices --format json}, or a record of {@code bench}. */
    static List<DeviceInfo> recorded(Path file) {
        JsonNode devices;
        try {
            devices = new ObjectMapper().readTree(file.toFile()).path("devices");
        } catch (FileNotFoundException e) {
            throw new InvalidInputException(file + (Files.isDirectory(file) ? " is a folder; name a file." : Files.exists(file) ? " cannot be read."
                    : " does not exist."));
        } catch (IOException e) {
            throw new InvalidInputException(file + " does not read as JSON: " + e.getMessage().lines().findFirst().orElse("") + ".");
        }
        if (!devices.isArray() || devices.isEmpty()) {
            throw new InvalidInputException(file + " describes no devices; --as takes a record of flashlla bench, or what "
                    + "flashlla devices --format json printed.");
        }
        List<DeviceInfo> found = new ArrayList<>();
        for (JsonNode device : devices) {
            try {
                found.add(recorded(device));
            } catch (IllegalArgumentException e) { // a type or a precision of no device
                throw new InvalidInputException(file + ": device '" + device.path("name").asText() + "' has a type or a precision that there is not; "
                        + "--as takes a record of flashlla bench, or what flashlla devices --format json printed.");
            }
        }
        return found;
    }

    private static DeviceInfo recorded(JsonNode device) {
        String backend = device.path("backend").asText();
        List<DataType> precisions = new ArrayList<>();
        device.path("precisions").forEach(precision -> precisions.add(DataType.valueOf(precision.asText().toUpperCase(Locale.ROOT))));
        if (precisions.isEmpty()) { // records do not tell; TornadoVM reaches matrix units through CUDA alone
            precisions.add(DataType.FLOAT32);
            if (backend.equals("cuda")) {
                precisions.add(DataType.FLOAT16);
            }
        }
        return new DeviceInfo(device.path("name").asText(), backend,
                DeviceInfo.Type.valueOf(device.path("type").asText("gpu").toUpperCase(Locale.ROOT)), device.path("hardware").asText(),
                device.path("vendor").asText(), device.path("driver").asText(), number(device, "memoryBytes", "memory_bytes", -1),
                number(device, "localMemoryBytes", "local_memory_bytes", USUAL_LOCAL_BYTES),
                (int) number(device, "computeUnits", "compute_units", -1), precisions);
    }

    private static long number(JsonNode device, String name, String recordName, long otherwise) {
        return device.path(name).asLong(device.path(recordName).asLong(otherwise));
    }
}
