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
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Finds and opens devices. Every call searches again; one provider's failure never hides another's devices. */
public final class Devices {

    private Devices() {}

    /**
     * Opens a device by its name, as {@link #list()} gives it, or several as one ({@code cuda:0+cuda:1}); the caller closes it.
     *
     * @throws InvalidInputException if no device has that name; the message says which there are, and why its backend is not here
     * @throws DeviceException if it fails to open
     */
    public static Device open(String name) {
        if (name.contains(DeviceCombiner.JOINER)) {
            return openAll(partsOf(name));
        }
        return here(survey(Set.of(backendOf(name))), name, survey -> Optional.ofNullable(survey.owners.get(name))).open(name);
    }

    /** What is found of a selector in this survey, or in one that asks again for what may have been absent earlier only. */
    private static <T> T here(Survey survey, String selector, Function<Survey, Optional<T>> find) {
        return find.apply(survey).orElseGet(() -> {
            Survey again = survey(null).again(selector);
            return find.apply(again).orElseThrow(() -> new InvalidInputException(again.unknown(selector)));
        });
    }

    /**
     * Opens several devices as one, which splits each problem over them. Each runs in a process of its own. A name may be there
     * twice: {@code jvm} and {@code jvm} are two processes that share this machine's processors.
     *
     * @param names one device each, as {@link #list()} gives them; one name alone opens that device
     * @throws InvalidInputException if a name matches no device
     * @throws DeviceException if a device fails to open
     */
    public static Device openAll(Collection<String> names) {
        if (names.size() == 1) {
            return open(names.iterator().next());
        }
        return combiner().open(parts(names));
    }

    private static List<String> partsOf(String name) {
        List<String> parts = List.of(name.split(Pattern.quote(DeviceCombiner.JOINER), -1));
        if (parts.contains("")) {
            throw new InvalidInputException("'" + Printable.text(name) + "' wants a device on each side of every " + DeviceCombiner.JOINER
                    + ", as in jvm+opencl:0");
        }
        return parts;
    }

    private static List<DeviceInfo> parts(Collection<String> names) {
        List<DeviceInfo> parts = new ArrayList<>();
        for (String name : names) {
            List<DeviceInfo> one = select(List.of(name));
            if (one.size() > 1) {
                throw new InvalidInputException("'" + Printable.text(name) + "' is " + one.size() + " devices ("
                        + one.stream().map(DeviceInfo::name).collect(Collectors.joining(", ")) + "), but each part of a combined device is one; "
                        + "name it, as in " + one.stream().map(DeviceInfo::name).collect(Collectors.joining(DeviceCombiner.JOINER)));
            }
            parts.addAll(one);
        }
        if (parts.isEmpty()) {
            throw new InvalidInputException("a combined device needs the names of its parts, as in jvm+opencl:0");
        }
        return parts;
    }

    private static DeviceCombiner combiner() {
        return ServiceLoader.load(DeviceCombiner.class).findFirst()
                .orElseThrow(() -> new DeviceException("nothing here combines devices: flashlla's jar is not complete"));
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
     * Devices by name ({@code opencl:0}), backend ({@code opencl}), type ({@code cpu}, {@code gpu}) or {@code all}, where the last
     * two leave out the reference, in the order asked for and without repeats. Names joined by + are several devices as one.
     *
     * @throws InvalidInputException if a selector matches nothing, listing what there is
     */
    public static List<DeviceInfo> select(Collection<String> selectors) {
        Set<String> backends = new HashSet<>();
        selectors.stream().filter(selector -> !selector.contains(DeviceCombiner.JOINER)).forEach(selector -> backends.add(backendOf(selector)));
        Survey survey = survey(backends);
        if (!survey.knowsAll(backends)) { // a type, all, or a mistake
            survey = survey(null);
        }
        Map<String, DeviceInfo> chosen = new LinkedHashMap<>();
        for (String selector : selectors) {
            if (selector.contains(DeviceCombiner.JOINER)) {
                DeviceInfo whole = combiner().combine(parts(partsOf(selector)));
                chosen.put(whole.name(), whole);
                continue;
            }
            here(survey, selector, there -> Optional.of(there.matching(selector)).filter(matches -> !matches.isEmpty()))
                    .forEach(info -> chosen.put(info.name(), info));
        }
        return List.copyOf(chosen.values());
    }

    private static String backendOf(String selector) {
        return selector.contains(":") ? selector.substring(0, selector.indexOf(':')) : selector;
    }

    /** Asks the providers of these backends, or all: asking the providers of accelerators takes seconds. */
    private static Survey survey(Set<String> backends) {
        return survey(backends, DeviceProvider::discover);
    }

    private static Survey survey(Set<String> backends, Function<DeviceProvider, Discovery> discover) {
        Survey survey = new Survey();
        Iterator<DeviceProvider> providers = ServiceLoader.load(DeviceProvider.class).iterator();
        while (true) {
            try {
                if (!providers.hasNext()) {
                    return survey;
                }
                survey.add(providers.next(), backends, discover);
            } catch (ServiceConfigurationError | LinkageError e) {
                if (isInAnotherArchive(e)) {
                    continue;
                }
                survey.absences.add(new Absence("unknown", "a device provider could not be loaded: " + e.getMessage()));
            }
        }
    }

    /** Whether the class that provides is not here: those of TornadoVM's devices come with the artifact's classifier {@code tornado}. */
    private static boolean isInAnotherArchive(Throwable e) {
        return e instanceof ServiceConfigurationError && e.getCause() == null && e.getMessage().endsWith(" not found");
    }

    private static final class Survey {
        private final Map<String, DeviceInfo> infos = new LinkedHashMap<>();
        private final Map<String, DeviceProvider> owners = new LinkedHashMap<>();
        private final List<Absence> absences = new ArrayList<>();
        private final Set<String> backends = new HashSet<>();

        boolean knowsAll(Set<String> names) {
            return backends.containsAll(names);
        }

        List<DeviceInfo> matching(String selector) {
            return infos.values().stream().filter(info -> info.matches(selector)).toList();
        }

        /** What there is now, where something that may have been absent earlier only is asked for; else this. */
        Survey again(String selector) {
            boolean absent = isGroup(selector) || absences.stream().anyMatch(absence -> absence.backend().equals(backendOf(selector)));
            return absent ? survey(null, DeviceProvider::discoverAgain) : this;
        }

        private static boolean isGroup(String selector) {
            return selector.equals("gpu") || selector.equals("cpu");
        }

        void add(DeviceProvider provider, Set<String> wanted, Function<DeviceProvider, Discovery> discover) {
            if (wanted != null && Collections.disjoint(provider.backends(), wanted)) {
                return;
            }
            backends.addAll(provider.backends());
            Discovery discovery;
            try {
                discovery = discover.apply(provider);
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
            // of a group that is empty here, why every backend is that might have had one
            String why = isGroup(selector)
                    ? absences.isEmpty() ? "" : absences.stream().map(a -> a.backend() + ": " + a.reason()).collect(Collectors.joining("; ", " (", ")"))
                    : absences.stream().filter(a -> a.backend().equals(backend)).map(a -> " (" + a.reason() + ")").findFirst().orElse("");
            return "no device matches '" + Printable.text(selector) + "'" + why + "; there are " + there + ", and the groups all, cpu and gpu";
        }
    }
}
