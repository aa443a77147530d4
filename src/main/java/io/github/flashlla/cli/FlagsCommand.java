package io.github.flashlla.cli;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.TornadoFlags;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code flags}: the JVM flags that a program needs to open a TornadoVM device. */
@Command(name = "flags", description = "Write the JVM flags that a TornadoVM device needs, as an argument file.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla flags opencl:0 > opencl.args", "  java @opencl.args -cp 'target/flashlla.jar:target/lib/*:.' MyProgram"})
public final class FlagsCommand implements Callable<Integer> {
    @Parameters(paramLabel = "NAME", description = "Device of TornadoVM, such as opencl:0", completionCandidates = DeviceNames.class)
    private String name;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        DeviceInfo device = Devices.select(List.of(name)).getFirst();
        Backend backend = Backend.of(device.name());
        if (backend == null) {
            throw new InvalidInputException(name + " is not a TornadoVM device and needs no flags");
        }
        for (String flag : TornadoFlags.of(TornadoSdk.find().orElseThrow(), List.of(backend), DeviceProfile.memoryBudget(device))) {
            spec.commandLine().getOut().println('"' + flag.replace("\\", "\\\\").replace("\"", "\\\"") + '"');
        }
        spec.commandLine().getOut().flush();
        return 0;
    }
}
