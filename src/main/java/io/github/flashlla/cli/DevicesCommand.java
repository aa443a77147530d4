package io.github.flashlla.cli;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.spi.DeviceProvider.Absence;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code devices}: what can compute here, and what could not be found and why. */
@Command(name = "devices", description = "List devices, and the backends that are not here with the reason.")
public final class DevicesCommand implements Callable<Integer> {
    private static final double GIB = 1L << 30;
    private static final int KIB = 1 << 10;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        out.printf(Locale.ROOT, "%-10s %-11s %10s %8s %6s %-26s %s%n", "name", "type", "memory", "local", "units", "precisions",
                "hardware, vendor, driver");
        for (DeviceInfo device : Devices.list()) {
            out.printf(Locale.ROOT, "%-10s %-11s %10s %8s %6s %-26s %s, %s, %s%n", device.name(),
                    device.type().name().toLowerCase(Locale.ROOT),
                    device.memoryBytes() < 0 ? "-" : String.format(Locale.ROOT, "%.1f GiB", device.memoryBytes() / GIB),
                    device.localMemoryBytes() < 0 ? "-" : device.localMemoryBytes() / KIB + " KiB",
                    device.computeUnits() < 0 ? "-" : device.computeUnits(),
                    device.precisions().stream().map(p -> p.name().toLowerCase(Locale.ROOT)).collect(Collectors.joining(",")),
                    device.hardware(), device.vendor(), device.driver());
        }
        for (Absence absence : Devices.absences()) {
            out.println(absence.backend() + " is absent: " + absence.reason());
        }
        out.flush();
        return 0;
    }
}
