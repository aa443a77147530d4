package io.github.flashlla.cli;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.process.VectorModule;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.TornadoFlags;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code flags}: the JVM flags that a program needs to open a TornadoVM device. */
@Command(name = "flags", description = "Write the JVM flags that a TornadoVM device needs, as an argument file.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla flags opencl:0 > opencl.args", "  java @opencl.args -cp 'target/flashlla.jar:target/lib/*:.' MyProgram"})
public final class FlagsCommand implements Callable<Integer> {
    @Parameters(arity = "0..1", paramLabel = "NAME", description = "Device of TornadoVM, such as opencl:0", completionCandidates = DeviceNames.class)
    private String name;

    @Option(names = "--device", paramLabel = "NAME", description = "The same, spelled as in other commands", completionCandidates = DeviceNames.class)
    private String device;

    @Mixin
    private ResultOptions result;

    @Override
    public Integer call() {
        if ((name == null) == (device == null)) {
            throw new InvalidInputException("name one device, such as flags opencl:0");
        }
        DeviceInfo info = OneDevice.of(name == null ? device : name);
        Backend backend = Backend.of(info.name());
        if (backend == null) {
            throw new InvalidInputException(info.name() + " is not a TornadoVM device; all that a program needs for it is " + VectorModule.FLAG
                    + ", by which jvm loads the Vector API");
        }
        StringBuilder flags = new StringBuilder();
        for (String flag : TornadoFlags.of(TornadoSdk.find().orElseThrow(), List.of(backend), DeviceProfile.memoryBudget(info))) {
            flags.append('"').append(flag.replace("\\", "\\\\").replace("\"", "\\\"")).append("\"\n");
        }
        result.print(flags.toString());
        return 0;
    }
}
