package io.github.flashlla.cli;

import io.github.flashlla.tornadovm.Doctor.Finding;
import io.github.flashlla.tornadovm.Doctor.Level;
import io.github.flashlla.tornadovm.Doctor;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code doctor}: everything TornadoVM's devices depend on, and how to mend it. */
@Command(name = "doctor",
        description = "Examine the JDK, TornadoVM, OpenCL and NVIDIA drivers, and say how to mend what is missing; exit status 1 if something is broken.",
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla doctor", "  TORNADOVM_HOME=~/tornadovm flashlla doctor"})
public final class DoctorCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        List<Finding> findings = Doctor.examine();
        PrintWriter out = spec.commandLine().getOut();
        for (Finding finding : findings) {
            out.printf(Locale.ROOT, "%-8s %-16s %s%n", finding.level().name().toLowerCase(Locale.ROOT), finding.subject(), finding.text());
            if (!finding.remedy().isEmpty()) {
                out.printf(Locale.ROOT, "%-8s %-16s   -> %s%n", "", "", finding.remedy());
            }
        }
        out.flush();
        return findings.stream().anyMatch(finding -> finding.level() == Level.PROBLEM) ? 1 : 0;
    }
}
