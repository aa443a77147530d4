package io.github.flashlla.cli;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceCombiner;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;

/** Which kernels would run for a shape on devices, and why not the others: {@code devices --kernels}. */
final class KernelChoices {
    private KernelChoices() {}

    /**
     * One table, passes one after another. A pass that nothing computes says so in a line of its own. Where a terminal has no room for the table, kernels are
     * listed under their device and pass.
     *
     * @param width of a line, in characters
     * @throws InvalidInputException if no device takes such a problem
     */
    static String of(List<DeviceInfo> devices, String shapeText, LlaOptions options, int width) {
        AttentionShape shape = shape("--kernels", shapeText);
        if (options.causal() && shape.queryLength() > shape.keyLength()) {
            throw new InvalidInputException("--kernels " + shapeText + " has more queries than keys; causal attention needs Sq <= Sk (or say --no-causal).");
        }
        List<KernelGuide> guides = ServiceLoader.load(KernelGuide.class).stream().map(ServiceLoader.Provider::get).toList();
        MarkdownTable table = new MarkdownTable("device", "pass", "kernel", "for " + shape, "order from");
        for (DeviceInfo device : devices) {
            List<KernelGuide> knowing = guides.stream().filter(guide -> guide.knows(device)).toList();
            add(table, device, knowing.isEmpty() ? onlyWays(device, options)
                    : knowing.stream().flatMap(guide -> guide.choices(device, shape, options).stream()).toList());
        }
        String wide = table.toString();
        return wide.lines().allMatch(line -> line.length() <= width) ? wide : "for " + shape + "\n" + table.grouped(2, width);
    }

    /**
     * Refuses a kernel's name that this build does not have, before any device starts.
     *
     * @throws InvalidInputException if {@code bench --kernel} or a profile names one, with those that there are
     */
    static void requireKnown(List<DeviceInfo> devices) {
        AttentionShape any = AttentionShape.square(1, 1, 32, 32);
        ServiceLoader.load(KernelGuide.class).forEach(guide -> devices.stream().filter(guide::knows)
                .forEach(device -> guide.choices(device, any, LlaOptions.defaults())));
    }

    /**
     * What a device without a choice of kernels computes, each pass in one way for every shape. A float16 cache is decoded in float32, so that
     * precision matters to the other passes.
     */
    private static List<KernelGuide.Choice> onlyWays(DeviceInfo device, LlaOptions options) {
        boolean built = Backend.of(device.name()) == null;
        String refusal = !built ? "this build has no kernels for TornadoVM" : device.precisions().contains(options.precision()) ? ""
                : "it does not compute products in " + options.precision().name().toLowerCase(Locale.ROOT);
        return Arrays.stream(Pass.values()).map(pass -> new KernelGuide.Choice(DeviceProfile.key(pass), device.backend(),
                built && pass == Pass.DECODE ? "" : pass == Pass.SOFTMAX && device.has(DeviceInfo.Trait.EXACT) ? "it has no softmax attention" : refusal)).toList();
    }

    private static void add(MarkdownTable table, DeviceInfo device, List<KernelGuide.Choice> choices) {
        boolean forward = false;
        for (Pass pass : Pass.values()) {
            List<KernelGuide.Choice> ofPass = choices.stream().filter(choice -> choice.pass().equals(DeviceProfile.key(pass))).toList();
            Path file = DeviceProfile.chosenBy(device, pass);
            String from = Backend.of(device.name()) == null ? "" : file == null ? "tornado-config" : file.toString();
            boolean runs = false;
            for (KernelGuide.Choice choice : ofPass) {
                String refusal = choice.refusal().isEmpty() && pass == Pass.BACKWARD && !forward ? "it needs the forward pass, which nothing runs" : choice.refusal();
                String verdict = !refusal.isEmpty() ? "no: " + refusal : runs ? "could; an earlier one runs" : runsAs(device);
                runs |= refusal.isEmpty();
                table.add(device.name(), choice.pass(), choice.kernel(), verdict, from);
            }
            forward |= runs && pass == Pass.FORWARD;
            if (!runs) {
                table.add(device.name(), DeviceProfile.key(pass), "-", "nothing runs", from);
            }
        }
    }

    private static String runsAs(DeviceInfo device) {
        return device.name().contains(DeviceCombiner.JOINER) ? "runs where each part does" : "runs";
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
        } catch (InvalidInputException e) {
            throw new InvalidInputException(option + " " + text + ": " + e.getMessage());
        } catch (NumberFormatException e) {
            throw new InvalidInputException(option + " takes a shape as BxHxSxD or BxHxHkvxSqxSkxDxDv, such as 1x8x4096x64, not '"
                    + text + "'.");
        }
    }
}
