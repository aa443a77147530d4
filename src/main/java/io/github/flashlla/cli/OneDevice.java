package io.github.flashlla.cli;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.List;
import java.util.stream.Collectors;

/** The device of a command that takes one, where a name may stand for several. */
final class OneDevice {
    private OneDevice() {}

    /** @throws InvalidInputException if there is none, or the name stands for several, which it lists */
    static DeviceInfo of(String name) {
        if (name.contains(",")) {
            throw new InvalidInputException("--device " + Printable.text(name) + " lists several devices; name one, or several as one, joined by +, "
                    + "as in jvm+opencl:0.");
        }
        List<DeviceInfo> chosen = Devices.select(List.of(name));
        if (chosen.size() > 1) {
            throw new InvalidInputException("--device " + name + " stands for " + chosen.size() + " devices; name one of "
                    + chosen.stream().map(DeviceInfo::name).collect(Collectors.joining(", ")) + ".");
        }
        return chosen.getFirst();
    }
}
