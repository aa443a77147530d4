package io.github.flashlla.report.compare;

import io.github.flashlla.record.Status;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.TimeRatio.Verdict;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** A comparison in a sentence per series and way of solving. */
public final class Summary {
    private Summary() {}

    public static List<String> of(Comparison comparison) {
        List<String> sentences = new ArrayList<>();
        Map<String, List<Line>> byName = comparison.lines().stream()
                .collect(Collectors.groupingBy(comparison.names(), LinkedHashMap::new, Collectors.toList()));
        byName.forEach((label, lines) -> {
            long fresh = lines.stream().filter(line -> line.relation() == Comparison.Relation.NEW).count();
            if (fresh > 0) {
                sentences.add(label + ": new on " + Numbers.count((int) fresh, "workload") + ", which " + comparison.baseline() + " lacks");
            }
            boolean other = lines.stream().noneMatch(line -> line.measurement().method().operator().equals("lla"));
            lines.stream().filter(line -> line.ratio() != null).collect(Collectors.groupingBy(
                    line -> line.againstLabel() == null ? comparison.baseline() : line.againstLabel(), LinkedHashMap::new, Collectors.toList()))
                    .forEach((baseline, compared) -> sentences.add(sentence(label + (other ? " (another operator)" : ""), baseline,
                            compared.stream().map(Line::ratio).toList()) + unsettled(compared)));
        });
        answers(comparison, sentences);
        return sentences;
    }

    private static String sentence(String label, String baseline, List<TimeRatio> ratios) {
        long same = count(ratios, Verdict.SAME);
        if (same == ratios.size()) {
            return label + " against " + baseline + ": no difference on " + Numbers.count(ratios.size(), "workload");
        }
        if (count(ratios, Verdict.TOO_FEW_SAMPLES) == ratios.size()) {
            return label + " against " + baseline + ": too few samples to tell on " + Numbers.count(ratios.size(), "workload");
        }
        List<String> parts = new ArrayList<>();
        part(parts, count(ratios, Verdict.SLOWER), "slower");
        part(parts, count(ratios, Verdict.FASTER), "faster");
        part(parts, same, "no difference");
        part(parts, count(ratios, Verdict.TOO_FEW_SAMPLES), "too few samples to tell");
        GeometricMean mean = GeometricMean.of(ratios);
        String place = ratios.size() == 1 ? "" : " in the geometric mean of " + Numbers.count(ratios.size(), "workload")
                + (parts.size() == 1 ? "" : " (" + String.join(", ", parts) + ")");
        return mean.isCertain() ? label + " is " + mean.words(baseline) + place
                : label + " against " + baseline + ": no certain difference" + place + ", " + mean.factor() + " " + mean.interval();
    }

    /** Times that still moved, the baseline's too, make a ratio of little worth. */
    private static String unsettled(List<Line> compared) {
        long count = compared.stream().filter(line -> !line.measurement().times().settled() || !line.against().times().settled()).count();
        return count == 0 ? "" : count == compared.size() ? "; times were unsettled" : "; times were unsettled on " + count;
    }

    /** Whether what is shown can be trusted at all. */
    private static void answers(Comparison comparison, List<String> sentences) {
        int all = comparison.lines().size();
        long right = comparison.lines().stream().filter(line -> line.measurement().status() == Status.OK).count();
        sentences.add(right == all ? all == 1 ? "the answer is right" : "all " + all + " answers are right"
                : right + " of " + all + " answers are there and right");
    }

    private static long count(List<TimeRatio> ratios, Verdict verdict) {
        return ratios.stream().filter(ratio -> ratio.verdict() == verdict).count();
    }

    private static void part(List<String> parts, long count, String what) {
        if (count > 0) {
            parts.add(what + " on " + count);
        }
    }
}
