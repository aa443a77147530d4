package io.github.flashlla.report;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.ColdStart.Phases;
import io.github.flashlla.record.ColdStart;
import io.github.flashlla.record.Energy;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.TimeRatio;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Printable;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * A column of the tables about measurements. {@link #ALL} is the one list of them, in the order that every table keeps: CSV
 * and JSON take those with a key, and each table for people those that name it.
 *
 * @param key name in CSV and JSON, with the unit in it; null if they leave it out
 * @param value what those hold; null is an empty cell
 * @param title heading for people; null if they do not see it
 * @param cell what people see; empty if there is nothing to say
 * @param tables where it is seen
 * @param style how the page sets it
 * @param note a second line in the page's cell, or nothing
 * @param when whether rows like these have something to say in it
 */
record Column(String key, Function<Row, Object> value, String title, Function<Row, String> cell, Set<Table> tables, Style style,
        Function<Row, String> note, Predicate<List<Row>> when) {

    /** Tables for programs and for people. */
    enum Table {
        /** A record as CSV. */
        CSV,
        /** A comparison as CSV and JSON. */
        COMPARE_CSV,
        /** What {@code bench} prints into a file or a pipe. */
        BENCH,
        /** What {@code bench} prints on a terminal. */
        BENCH_TERMINAL,
        /** What {@code compare} prints into a file or a pipe. */
        COMPARE,
        /** What {@code compare} prints on a terminal. */
        COMPARE_TERMINAL,
        /** The HTML page of a comparison. */
        PAGE
    }

    /** How the page sets a column. */
    enum Style {
        /** Heads the row. */
        HEAD,
        NUMBER,
        /** The time that is compared, with a picture of its samples. */
        TIME,
        /** A number in the colour of the verdict, with a picture of the ratio. */
        RATIO,
        /** Words in the colour of the verdict. */
        VERDICT
    }

    private static final Table[] PEOPLE = {Table.BENCH, Table.COMPARE, Table.PAGE};

    /** Every table for people, on terminals too. */
    private static final Table[] SHORT = {Table.BENCH, Table.COMPARE, Table.PAGE, Table.BENCH_TERMINAL, Table.COMPARE_TERMINAL};

    /** Of people's tables, what a narrow terminal can do without: the first goes first. */
    static final List<String> DISPENSABLE = List.of("+-", "ratio [95%]", "status", "error", "against first", "solve");
    /** Names that an unknown one brings to mind. */
    private static final int MOST_NEAR = 6;

    static final List<Column> ALL = List.of(
            csv("record", Row::name),
            csv("created", row -> row.record().created()),
            csv("commit", row -> row.record().environment().commit()),
            csv("device", row -> row.measurement().device()).shown("device", Object::toString, Table.BENCH, Table.BENCH_TERMINAL),
            csv("hardware", device(DeviceFacts::hardware)),
            csv("driver", device(DeviceFacts::driver)),
            people("series", row -> row.line().series().label(), Table.COMPARE, Table.COMPARE_TERMINAL, Table.PAGE).styled(Style.HEAD).noted(Row::methodLabel),
            people("workload", Row::workloadLabel, Table.BENCH, Table.COMPARE, Table.BENCH_TERMINAL, Table.COMPARE_TERMINAL),
            people("solve", Row::methodLabel, Table.BENCH, Table.COMPARE, Table.BENCH_TERMINAL, Table.COMPARE_TERMINAL)
                    .when(rows -> rows.stream().anyMatch(row -> !row.methodLabel().isEmpty())),
            csv("mode", row -> row.measurement().workload().mode()),
            csv("batch", row -> row.measurement().workload().batch()),
            csv("heads", row -> row.measurement().workload().heads()),
            csv("kv_heads", row -> row.measurement().workload().kvHeads()),
            csv("query_length", row -> row.measurement().workload().queryLength()),
            csv("key_length", row -> row.measurement().workload().keyLength()),
            csv("head_dim", row -> row.measurement().workload().headDim()),
            csv("value_dim", row -> row.measurement().workload().valueDim()),
            csv("causal", row -> row.measurement().workload().causal()),
            csv("ridge", row -> row.measurement().workload().ridge()),
            csv("scale", row -> row.measurement().workload().scale()),
            csv("operator", row -> row.measurement().method().operator()),
            csv("tolerance", row -> row.measurement().method().tolerance()),
            csv("max_iterations", row -> row.measurement().method().maxIterations()),
            csv("preconditioner", row -> row.measurement().method().preconditioner()),
            csv("data_type", row -> row.measurement().method().dataType()),
            csv("precision", row -> row.measurement().method().precision()),
            csv("status", row -> row.measurement().status() == null ? null : row.measurement().status().label()),
            versus("verdict", Row::verdict),
            versus("ratio", ratio(TimeRatio::estimate)),
            versus("ratio_low", ratio(ratio -> ratio.verdict() == TimeRatio.Verdict.TOO_FEW_SAMPLES ? null : ratio.low())),
            versus("ratio_high", ratio(ratio -> ratio.verdict() == TimeRatio.Verdict.TOO_FEW_SAMPLES ? null : ratio.high())),
            people("kernel time", row -> of(times(t -> row.clock().medianNs(row.measurement())), Column::time).apply(row)
                    + (row.measurement().times() != null && !row.hasOwnClock() ? " wall" : ""),
                    Table.COMPARE, Table.COMPARE_TERMINAL, Table.PAGE).styled(Style.TIME).noted(Column::spread).when(Column::comparesKernels),
            csv("median_ns", times(Measurement.Times::medianNs)).shown("wall time", Column::time, Table.BENCH),
            people("wall time", of(times(Measurement.Times::medianNs), Column::time), Table.COMPARE, Table.PAGE).styled(Style.TIME).noted(Column::spread)
                    .when(rows -> !comparesKernels(rows)),
            people("wall time", of(times(Measurement.Times::medianNs), Column::time), Table.COMPARE, Table.PAGE).when(Column::comparesKernels),
            people("wall time", of(times(Measurement.Times::medianNs), Column::time), Table.BENCH_TERMINAL, Table.COMPARE_TERMINAL)
                    .when(rows -> !comparesKernels(rows)),
            people("+-", Column::spreadWords, Table.BENCH, Table.COMPARE, Table.BENCH_TERMINAL, Table.COMPARE_TERMINAL),
            csv("p20_ns", times(Measurement.Times::p20Ns)),
            csv("p80_ns", times(Measurement.Times::p80Ns)),
            csv("kernel_median_ns", times(Measurement.Times::kernelMedianNs)).shown("kernels", Column::time, PEOPLE)
                    .when(rows -> haveOwnClock(rows) && !comparesKernels(rows)),
            csv("transfer_median_ns", clocked(Measurement.Times::transferMedianNs)).shown("copies", Column::time, PEOPLE).when(Column::haveOwnClock),
            csv("host_median_ns", times(Measurement.Times::hostMedianNs)).shown("host", Column::time, PEOPLE).when(Column::haveOwnClock),
            people("compile", of(clocked(Measurement.Times::compileNs), Column::time), Table.BENCH).when(Column::haveOwnClock),
            csv("first_run_ns", times(Measurement.Times::firstRunNs)).shown("first run", Column::time, Table.BENCH, Table.PAGE)
                    .noted(of(clocked(Measurement.Times::compileNs), ns -> "compile " + time(ns))),
            csv("compile_ns", times(Measurement.Times::compileNs)),
            csv("plan_ns", times(Measurement.Times::planNs)),
            people("cold start", row -> start(row, ColdStart::empty), Table.BENCH, Table.PAGE).when(Column::haveColdStarts),
            people("warm start", row -> start(row, ColdStart::warm), Table.BENCH, Table.PAGE).when(Column::haveColdStarts),
            people("second shape", of(cold(ColdStart::warm, Phases::secondShapeNs), Column::time), Table.BENCH, Table.PAGE).when(Column::haveColdStarts),
            csv("cold_jvm_ns", cold(ColdStart::empty, Phases::jvmNs)),
            csv("cold_survey_ns", cold(ColdStart::empty, Phases::surveyNs)),
            csv("cold_open_ns", cold(ColdStart::empty, Phases::openNs)),
            csv("cold_plan_ns", cold(ColdStart::empty, Phases::planNs)),
            csv("cold_compile_ns", cold(ColdStart::empty, Phases::compileNs)),
            csv("cold_first_run_ns", cold(ColdStart::empty, Phases::firstRunNs)),
            csv("cold_second_shape_ns", cold(ColdStart::empty, Phases::secondShapeNs)),
            csv("warm_jvm_ns", cold(ColdStart::warm, Phases::jvmNs)),
            csv("warm_survey_ns", cold(ColdStart::warm, Phases::surveyNs)),
            csv("warm_open_ns", cold(ColdStart::warm, Phases::openNs)),
            csv("warm_plan_ns", cold(ColdStart::warm, Phases::planNs)),
            csv("warm_compile_ns", cold(ColdStart::warm, Phases::compileNs)),
            csv("warm_first_run_ns", cold(ColdStart::warm, Phases::firstRunNs)),
            csv("warm_second_shape_ns", cold(ColdStart::warm, Phases::secondShapeNs)),
            people("against first", row -> row.line() == null || row.line().ratio() == null ? "" : row.line().ratio().numbers(), Table.BENCH, Table.BENCH_TERMINAL)
                    .when(rows -> rows.stream().anyMatch(row -> row.line() != null && row.line().ratio() != null)),
            people("ratio [95%]", row -> row.line().ratio() == null ? "" : row.line().ratio().numbers(),
                    Table.COMPARE, Table.COMPARE_TERMINAL, Table.PAGE).styled(Style.RATIO),
            people("verdict", row -> row.line().verdict(), Table.COMPARE, Table.COMPARE_TERMINAL, Table.PAGE).styled(Style.VERDICT),
            csv("tflops", rates(Measurement.Rates::tflops)).shown("counted rate", x -> Numbers.rate((Double) x), PEOPLE)
                    .noted(of(rates(Measurement.Rates::shareOfFma), share -> share(share) + ((Double) share > 1 ? "" : " of peak"))),
            csv("gbps", rates(Measurement.Rates::gbps)),
            csv("share_of_fma", rates(Measurement.Rates::shareOfFma)).shown("counted/peak", Column::share, Table.BENCH, Table.COMPARE),
            csv("share_of_copy", rates(Measurement.Rates::shareOfCopy)).shown("of copy", Column::share, Table.BENCH),
            csv("scaling_efficiency", row -> Scaling.efficiency(row.record(), row.measurement())).shown("scaling", share -> Numbers.percent((Double) share), Table.BENCH)
                    .when(rows -> rows.stream().anyMatch(row -> Scaling.efficiency(row.record(), row.measurement()) != null)),
            csv("error", accuracy(Measurement.AccuracyCheck::error)),
            people("error", row -> row.measurement().accuracy() == null ? "" : Numbers.error(row.measurement().accuracy().error()),
                    SHORT).noted(of(solve(s -> iterations(s, "/")), words -> words + " iterations")),
            csv("error_bar", accuracy(Measurement.AccuracyCheck::bar)),
            csv("min_iterations", solve(Measurement.Solve::minIterations)),
            csv("mean_iterations", solve(Measurement.Solve::meanIterations)),
            csv("max_iterations_run", solve(Measurement.Solve::maxIterations)),
            csv("unsolved", solve(Measurement.Solve::unsolved)),
            csv("limited_by_rounding", solve(Measurement.Solve::limited)),
            csv("in_float64", solve(Measurement.Solve::recomputed)),
            csv("estimated_error", solve(Measurement.Solve::estimatedError)),
            people("iterations", of(solve(s -> iterations(s, "/")), Object::toString), Table.BENCH),
            csv("joules_per_run", energy((e, m) -> e.joulesPerRun())).shown("energy", j -> Numbers.digits((Double) j) + " J", PEOPLE)
                    .noted(of(energy((e, m) -> e.joulesPerToken(m.workload())), j -> Numbers.digits((Double) j * 1e3) + " mJ a token"))
                    .when(rows -> rows.stream().anyMatch(row -> row.measurement().energy() != null)),
            csv("joules_per_token", energy((e, m) -> e.joulesPerToken(m.workload()))),
            csv("idle_watts", energy((e, m) -> e.idleWatts())),
            csv("processes", times(t -> t.processRuns() == null ? 1 : t.processRuns().length)),
            csv("workspace_bytes", memory(Measurement.Memory::workspaceBytes)),
            csv("working_set_bytes", memory(Measurement.Memory::workingSetBytes)),
            csv("host_peak_bytes", memory(Measurement.Memory::hostPeakBytes)),
            people("memory", of(memory(Column::parts), Object::toString), Table.BENCH),
            people("memory", of(memory(m -> m.workspaceBytes() == null ? null : Numbers.bytes(m.tensorBytes() + m.workspaceBytes())),
                    Object::toString), Table.COMPARE, Table.PAGE),
            people("status", row -> row.measurement().status().word(), Table.BENCH, Table.BENCH_TERMINAL),
            samples("wall_ns", times(t -> samples(t.wallNs()))),
            samples("kernel_ns", times(t -> samples(t.kernelNs()))),
            samples("copy_in_ns", times(t -> samples(t.copyInNs()))),
            samples("copy_out_ns", times(t -> samples(t.copyOutNs()))),
            csv("message", row -> row.measurement().message()));

    /** The columns of a table for programs. */
    static List<Column> of(Table table) {
        return ALL.stream().filter(column -> column.key != null && column.tables.contains(table)).toList();
    }

    /** The columns that people see in this table of these rows. */
    static List<Column> of(Table table, List<Row> rows) {
        return ALL.stream().filter(column -> column.tables.contains(table) && column.when.test(rows)).toList();
    }

    /**
     * The columns of these names.
     *
     * @param names titles or keys, in any case
     * @param known which ones there are
     * @throws InvalidInputException if there is no column of a name
     */
    static List<Column> named(List<String> names, List<Column> known) {
        return names.stream().map(name -> known.stream().filter(column -> name.equalsIgnoreCase(column.title) || name.equalsIgnoreCase(column.key)).findFirst()
                .orElseThrow(() -> unknown(name, known))).toList();
    }

    /** Names columns that share a word with the name, or the beginning of one; all where none does. */
    private static InvalidInputException unknown(String name, List<Column> known) {
        List<String> all = known.stream().map(Column::name).distinct().toList();
        Set<String> given = beginnings(name);
        List<String> near = all.stream().filter(one -> !Collections.disjoint(given, beginnings(one))).limit(MOST_NEAR).toList();
        return new InvalidInputException("there is no column '" + Printable.text(name) + "' here; " + (near.isEmpty()
                ? "there are " + String.join(", ", all) : (near.size() == 1 ? "the nearest is '" : "the nearest are '") + String.join("', '", near)
                + "', and 'all' shows every one"));
    }

    private String name() {
        return title == null ? key : title;
    }

    /** Three letters of each word are enough to know it again with a slip. */
    private static Set<String> beginnings(String name) {
        return Arrays.stream(name.toLowerCase(Locale.ROOT).split("[^a-z0-9]+")).filter(word -> word.length() >= 3)
                .map(word -> word.substring(0, 3)).collect(Collectors.toSet());
    }

    private static boolean haveOwnClock(List<Row> rows) {
        return rows.stream().anyMatch(Row::hasOwnClock);
    }

    private static boolean comparesKernels(List<Row> rows) {
        return !rows.isEmpty() && rows.getFirst().clock() == Clock.KERNEL;
    }

    private static Column csv(String key, Function<Row, Object> value) {
        return new Column(key, value, null, row -> "", EnumSet.of(Table.CSV, Table.COMPARE_CSV), Style.NUMBER, row -> "", rows -> true);
    }

    /** Samples, which a comparison leaves to the records. */
    private static Column samples(String key, Function<Row, Object> value) {
        return new Column(key, value, null, row -> "", EnumSet.of(Table.CSV), Style.NUMBER, row -> "", rows -> true);
    }

    /** What only a comparison knows. */
    private static Column versus(String key, Function<Row, Object> value) {
        return new Column(key, value, null, row -> "", EnumSet.of(Table.COMPARE_CSV), Style.NUMBER, row -> "", rows -> true);
    }

    private static Column people(String title, Function<Row, String> cell, Table... tables) {
        return new Column(null, row -> null, title, cell, Set.of(tables), Style.NUMBER, row -> "", rows -> true);
    }

    /** Shown to people too, as these words for a value that is there. */
    private Column shown(String heading, Function<Object, String> words, Table... where) {
        Set<Table> all = EnumSet.copyOf(tables);
        all.addAll(List.of(where));
        return new Column(key, value, heading, of(value, words), all, style, note, when);
    }

    private Column styled(Style how) {
        return new Column(key, value, title, cell, tables, how, note, when);
    }

    private Column noted(Function<Row, String> second) {
        return new Column(key, value, title, cell, tables, style, second, when);
    }

    /** Left out of a table of rows for which this does not hold. */
    private Column when(Predicate<List<Row>> holds) {
        return new Column(key, value, title, cell, tables, style, note, holds);
    }

    /** Words for a value that is there. */
    private static Function<Row, String> of(Function<Row, Object> value, Function<Object, String> words) {
        return row -> {
            Object known = value.apply(row);
            return known == null ? "" : words.apply(known);
        };
    }

    private static Function<Row, Object> device(Function<DeviceFacts, Object> fact) {
        return row -> row.record().device(row.measurement().device()).map(fact).orElse(null);
    }

    private static Function<Row, Object> times(Function<Measurement.Times, Object> value) {
        return row -> row.measurement().times() == null ? null : value.apply(row.measurement().times());
    }

    /** A time that means something only beside the device's own clock. */
    private static Function<Row, Object> clocked(Function<Measurement.Times, Object> value) {
        return times(t -> t.kernelMedianNs() == null ? null : value.apply(t));
    }

    private static Function<Row, Object> ratio(Function<TimeRatio, Object> value) {
        return row -> row.line() == null || row.line().ratio() == null ? null : value.apply(row.line().ratio());
    }

    private static Function<Row, Object> rates(Function<Measurement.Rates, Object> value) {
        return row -> row.measurement().rates() == null ? null : value.apply(row.measurement().rates());
    }

    private static Function<Row, Object> accuracy(Function<Measurement.AccuracyCheck, Object> value) {
        return row -> row.measurement().accuracy() == null ? null : value.apply(row.measurement().accuracy());
    }

    private static Function<Row, Object> solve(Function<Measurement.Solve, Object> value) {
        return row -> row.measurement().solve() == null ? null : value.apply(row.measurement().solve());
    }

    private static Function<Row, Object> cold(Function<ColdStart, Phases> caches, Function<Phases, Object> value) {
        return row -> row.measurement().coldStart() == null ? null : value.apply(caches.apply(row.measurement().coldStart()));
    }

    /** Until the first answer, and what it is made of. */
    private static String start(Row row, Function<ColdStart, Phases> caches) {
        ColdStart start = row.measurement().coldStart();
        if (start == null) {
            return "";
        }
        Phases p = caches.apply(start);
        return time(p.toAnswerNs()) + " (JVM " + time(p.jvmNs()) + ", open " + time(p.openNs()) + ", plan " + time(p.planNs()) + ", run "
                + time(p.firstRunNs()) + (p.surveyNs() == null ? "" : "; survey " + time(p.surveyNs())) + ")";
    }

    private static boolean haveColdStarts(List<Row> rows) {
        return rows.stream().anyMatch(row -> row.measurement().coldStart() != null);
    }

    private static Function<Row, Object> energy(BiFunction<Energy, Measurement, Object> value) {
        return row -> row.measurement().energy() == null ? null : value.apply(row.measurement().energy(), row.measurement());
    }

    private static Function<Row, Object> memory(Function<Measurement.Memory, Object> value) {
        return row -> row.measurement().memory() == null ? null : value.apply(row.measurement().memory());
    }

    private static String time(Object ns) {
        return Numbers.time(((Number) ns).doubleValue());
    }

    /** A share of a ceiling; work that a device spares is counted all the same, so that the count can pass what was measured. */
    private static String share(Object share) {
        return Numbers.percent((Double) share) + ((Double) share > 1 ? " > peak" : "");
    }

    /** The spread of the times that are compared. */
    private static String spreadWords(Row row) {
        Measurement.Times times = row.measurement().times();
        return times == null ? "" : times.spreadWords(row.clock().samples(row.measurement()));
    }

    private static String spread(Row row) {
        return row.measurement().times() == null ? "" : "\u00b1 " + spreadWords(row);
    }

    /** Fewest, mean and most of any query. */
    private static String iterations(Measurement.Solve solve, String between) {
        return solve.words(between);
    }

    /** Tensors, workspace, and the heap's measured share; null where the workspace is not known. */
    private static String parts(Measurement.Memory memory) {
        return memory.workspaceBytes() == null ? null : Numbers.bytes(memory.tensorBytes()) + " + " + Numbers.bytes(memory.workspaceBytes())
                + (memory.workingSetBytes() == null ? "" : ", measured " + Numbers.bytes(memory.workingSetBytes()));
    }

    private static String samples(long[] values) {
        return values == null ? null : Arrays.stream(values).mapToObj(Long::toString).collect(Collectors.joining(" "));
    }
}
