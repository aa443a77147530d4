package io.github.flashlla.tornado.kernels.tile;

import static org.junit.platform.engine.discovery.ClassNameFilter.includeClassNamePatterns;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;

import java.io.PrintWriter;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;

/** Runs test classes that need TornadoVM in the JVM; its last line is {@code done} if all passed. */
public final class TileRunner {
    private TileRunner() {}

    /** @param args a pattern of their names */
    public static void main(String[] args) {
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LauncherFactory.create().execute(LauncherDiscoveryRequestBuilder.request().selectors(selectPackage("io.github.flashlla.tornado"))
                .filters(includeClassNamePatterns(args[0])).configurationParameter("jqwik.database", "").build(), listener);
        listener.getSummary().printFailuresTo(new PrintWriter(System.out, true), 4);
        System.out.println(listener.getSummary().getTestsSucceededCount() + " tests passed");
        if (listener.getSummary().getTotalFailureCount() == 0 && listener.getSummary().getTestsSucceededCount() > 0) {
            System.out.println("done");
        }
    }
}
