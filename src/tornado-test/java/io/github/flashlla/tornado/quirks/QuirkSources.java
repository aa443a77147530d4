package io.github.flashlla.tornado.quirks;

import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.VirtualCuda;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Compiles minimal kernels for a device that is not there; {@link QuirkSourcesTest} starts it and reads what it prints. */
public final class QuirkSources {
    /** A subclass of {@code KernelContext} that is loaded before the second of two like kernels. */
    private static final String SUBCLASS = "io.github.flashlla.tornado.kernels.tile.JvmGroup$1";

    private QuirkSources() {}

    /** @param args the device, and a pattern of kernels */
    public static void main(String[] args) throws Exception {
        BackendDevice device = BackendDevices.open(args[0]);
        Pattern wanted = Pattern.compile(args[1]);
        if (args[0].startsWith("cuda")) {
            VirtualCuda.allowMatrixUnits();
        }
        for (Quirks.Quirk quirk : Stream.concat(Quirks.all(), Quirks.ofMatrixUnits()).filter(q -> wanted.matcher(q.name()).matches()).toList()) {
            compile(device, quirk);
        }
        if (wanted.matcher("subclass").matches()) {
            Class.forName(SUBCLASS);
            compile(device, new Quirks.Quirk("subclass", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::localArray, c, in, out),
                    i -> i + 1, ""));
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void compile(BackendDevice device, Quirks.Quirk quirk) {
        System.out.println("//// " + quirk.name());
        System.out.println("//// " + Quirks.refusal(device, quirk).map(e -> "REFUSED " + e).orElse("COMPILED"));
    }
}
