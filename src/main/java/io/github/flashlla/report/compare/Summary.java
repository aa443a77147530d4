package io.github.flashlla.report.compare;

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
            List<TimeRatio> ratios = lines.stream().filter(line -> line.ratio() != null).map(Line::ratio).toList();
            if (!ratios.isEmpty()) {
                boolean other = lines.stream().noneMatch(line -> line.measurement().method().operator().equals("lla"));
                sentences.add(sentence(label + (other ? " (another operator)" : ""), comparison.baseline(), ratios));
            }
        });
        return sentences;
    }

    private static String sentence(String label, String baseline, List<TimeRatio> ratios) {
        String subject = label + " against " + baseline + ": ";
        long same = count(ratios, Verdict.SAME);
        if (same == ratios.size()) {
            return subject + "no difference on " + workloads(ratios.size());
        }
        List<String> parts = new ArrayList<>();
        part(parts, count(ratios, Verdict.SLOWER), "slower");
        part(parts, count(ratios, Verdict.FASTER), "faster");
        part(parts, same, "no difference");
        part(parts, count(ratios, Verdict.TOO_FEW_SAMPLES), "too few samples to tell");
        double mean = Math.exp(ratios.stream().mapToDouble(ratio -> Math.log(ratio.estimate())).average().orElse(0));
        return subject + String.join(", ", parts) + " of " + workloads(ratios.size())
                + (ratios.size() == 1 ? "" : "; " + (mean < 1 ? Numbers.digits(1 / mean) + " times as fast" : Numbers.digits(mean)
                        + " times as long") + " in the geometric mean");
    }

    private static long count(List<TimeRatio> ratios, Verdict verdict) {
        return ratios.stream().filter(ratio -> ratio.verdict() == verdict).count();
    }

    private static void part(List<String> parts, long count, String what) {
        if (count > 0) {
            parts.add(what + " on " + count);
        }
    }

    private static String workloads(int count) {
        return count == 1 ? "1 workload" : count + " workloads";
    }
}
