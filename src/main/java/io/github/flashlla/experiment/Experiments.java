package io.github.flashlla.experiment;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/** The experiments there are. Those that train are compiled apart, and found only by a JVM that {@link TrainingLibrary} started. */
public final class Experiments {
    private static final Map<String, String> TRAINING = new LinkedHashMap<>();

    static {
        TRAINING.put("associative-recall", "Does a small trained model recall what followed a key earlier in its sequence?");
        TRAINING.put("in-context-regression", "Does a small trained model regress in context when the map changes within the sequence?");
        TRAINING.put("state-tracking", "Does a small trained model track products of permutations as well as softmax attention does?");
        TRAINING.put("language-model", "Do forward, backward and decode agree on a language model trained from nothing?");
    }

    private Experiments() {}

    /** Name to question, in the order of the paper. */
    public static Map<String, String> questions() {
        Map<String, String> questions = new LinkedHashMap<>();
        builtIn().forEach(experiment -> questions.put(experiment.name(), experiment.question()));
        questions.putAll(TRAINING);
        return questions;
    }

    /** Whether this experiment trains a model, and so needs the training library. */
    public static boolean trains(String name) {
        return TRAINING.containsKey(name);
    }

    /** @throws InvalidInputException if there is none of that name, listing what there is */
    public static void requireKnown(String name) {
        if (!questions().containsKey(name)) {
            throw new InvalidInputException("there is no experiment '" + Printable.text(name) + "'; there are "
                    + questions().keySet().stream().collect(Collectors.joining(", ")));
        }
    }

    static Experiment find(String name) {
        requireKnown(name);
        for (Experiment experiment : builtIn()) {
            if (experiment.name().equals(name)) {
                return experiment;
            }
        }
        for (Experiment experiment : ServiceLoader.load(Experiment.class)) {
            if (experiment.name().equals(name)) {
                return experiment;
            }
        }
        throw new InvalidInputException("the experiment " + name + " trains a model and is not part of this JVM; start it with 'flashlla experiment "
                + name + "'");
    }

    private static List<Experiment> builtIn() {
        return List.of(new TestTimeRegression(), new RidgeChoice(), new BiasVariance(), new MemoryGrowth());
    }
}
