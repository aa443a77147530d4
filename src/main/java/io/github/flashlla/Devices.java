package io.github.flashlla;

import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.stream.Collectors;

/** Finds and opens devices. Every call searches again; one provider's failure never hides another's devices. */
public final class Devices {

    private Devices() {}

    /** Opens a device by its name, as {@link #list()} gives it; the caller closes it. */
    public static Device open(String name) {
        DeviceProvider provider = survey(Set.of(backendOf(name))).owners.get(name);
        if (provider == null) {
            throw new InvalidInputException(survey(null).unknown(name));
        }
        return provider.open(name);
    }

    /** Every device that can be opened here, {@code jvm} first. */
    public static List<DeviceInfo> list() {
        return List.copyOf(survey(null).infos.values());
    }

    /** Backends that are not here, with the reason. */
    public static List<Absence> absences() {
        return List.copyOf(survey(null).absences);
    }

    /**
     * Devices by name ({@code opencl:0}), backend ({@code opencl}), type ({@code cpu}, {@code gpu}) or {@code all}
     * (which leaves out the reference), in the order asked for and without repeats.
     *
     * @throws InvalidInputException if a selector matches nothing, listing what there is
     */
    public static List<DeviceInfo> select(Collection<String> selectors) {
        Set<String> backends = new HashSet<>();
        selectors.forEach(selector -> backends.add(backendOf(selector)));
        Survey survey = survey(backends);
        if (!survey.knowsAll(backends)) { // a type, all, or a mistake
            survey = survey(null);
        }
        Map<String, DeviceInfo> chosen = new LinkedHashMap<>();
        for (String selector : selectors) {
            List<DeviceInfo> matches = survey.infos.values().stream().filter(info -> matches(info, selector)).toList();
            if (matches.isEmpty()) {
                throw new InvalidInputException(survey(null).unknown(selector));
            }
            matches.forEach(info -> chosen.put(info.name(), info));
        }
        return List.copyOf(chosen.values());
    }

    private static boolean matches(DeviceInfo info, String selector) {
        return selector.equals(info.name())
                || selector.equals(info.backend())
                || selector.equals(info.type().name().toLowerCase(Locale.ROOT))
                || selector.equals("all") && !info.has(DeviceInfo.Trait.EXACT);
    }

    private static String backendOf(String selector) {
        return selector.contains(":") ? selector.substring(0, selector.indexOf(':')) : selector;
    }

    /** Asks the providers of these backends, or all: asking the providers of accelerators takes seconds. */
    private static Survey survey(Set<String> backends) {
        Survey survey = new Survey();
        Iterator<DeviceProvider> providers = ServiceLoader.load(DeviceProvider.class).iterator();
        while (true) {
            try {
                if (!providers.hasNext()) {
                    return survey;
                }
                survey.add(providers.next(), backends);
            } catch (ServiceConfigurationError | LinkageError e) {
                survey.absences.add(new Absence("unknown", "a device provider could not be loaded: " + e.getMessage()));
            }
        }
    }

    private static final class Survey {
        private final Map<String, DeviceInfo> infos = new LinkedHashMap<>();
        private final Map<String, DeviceProvider> owners = new LinkedHashMap<>();
        private final List<Absence> absences = new ArrayList<>();
        private final Set<String> backends = new HashSet<>();

        boolean knowsAll(Set<String> names) {
            return backends.containsAll(names);
        }

        void add(DeviceProvider provider, Set<String> wanted) {
            if (wanted != null && Collections.disjoint(provider.backends(), wanted)) {
                return;
            }
            backends.addAll(provider.backends());
            Discovery discovery;
            try {
                discovery = provider.discover();
            } catch (RuntimeException e) {
                provider.backends().forEach(backend -> absences.add(new Absence(backend, "could not be asked for its devices: " + e.getMessage())));
                return;
            }
            for (DeviceInfo info : discovery.devices()) {
                infos.put(info.name(), info);
                owners.put(info.name(), provider);
            }
            absences.addAll(discovery.absences());
        }

        String unknown(String selector) {
            String there = infos.keySet().stream().collect(Collectors.joining(", "));
            String backend = backendOf(selector);
            String why = absences.stream().filter(a -> a.backend().equals(backend)).map(a -> " (" + a.reason() + ")")
                    .findFirst().orElse("");
            return "no device matches '" + Printable.text(selector) + "'" + why + "; there are " + there + ", and the groups all, cpu and gpu";
        }
    }
}
