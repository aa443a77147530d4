package io.github.flashlla.report;

import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A column of the tables about measurements. {@link #ALL} is the one list of them, in the order that every table keeps: CSV
 * takes those with a key, and each table for people those that name it.
 *
 * @param key name in CSV, with the unit in it; null if CSV leaves it out
 * @param value what CSV holds; null is an empty cell
 * @param title heading for people; null if they do not see it
 * @param cell what people see; empty if there is nothing to say
 * @param tables where people see it
 * @param style how the page sets it
 * @param note a second line in the page's cell, or nothing
 */
record Column(String key, Function<Row, Object> value, String title, Function<Row, String> cell, Set<Table> tables, Style style,
        Function<Row, String> note) {

    /** A table for people. */
    enum Table {
        /** What {@code bench} prints. */
        BENCH,
        /** What {@code compare} prints. */
        COMPARE,
        /** The HTML page of a comparison. */
        PAGE
    }

    /** How the page sets a column. */
    enum Style {
        /** Heads the row. */
        HEAD,
        NUMBER,
        /** A number in the colour of the verdict, with a picture of the ratio. */
        RATIO,
        /** Words in the colour of the verdict. */
        VERDICT,
        /** A number that only devices with a clock of their own have: not shown where no row has it. */
        OWN_CLOCK
    }

    static final List<Column> ALL = List.of(
            csv("record", row -> row.record().name()),
            csv("created", row -> row.record().created()),
            csv("commit", row -> row.record().environment().commit()),
            csv("device", row -> row.measurement().device()).shown("device", Object::toString, Table.BENCH),
            csv("hardware", device(DeviceFacts::hardware)),
            csv("driver", device(DeviceFacts::driver)),
            people("workload", row -> row.measurement().workload().label(), Table.BENCH, Table.COMPARE),
            people("series", row -> row.line().series().label(), Table.COMPARE, Table.PAGE).styled(Style.HEAD).noted(Row::ownMethod),
            people("solve", row -> row.measurement().method().label(), Table.BENCH, Table.COMPARE),
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
            csv("status", row -> row.measurement().status().label()),
            csv("median_ns", times(Measurement.Times::medianNs)).shown("time", Column::time, Table.values())
                    .noted(of(times(Measurement.Times::spreadWords), words -> "\u00b1 " + words)),
            people("+-", of(times(Measurement.Times::spreadWords), Object::toString), Table.BENCH, Table.COMPARE),
            csv("p20_ns", times(Measurement.Times::p20Ns)),
            csv("p80_ns", times(Measurement.Times::p80Ns)),
            csv("kernel_median_ns", times(Measurement.Times::kernelMedianNs)).shown("kernels", Column::time, Table.values())
                    .styled(Style.OWN_CLOCK).noted(of(clocked(Measurement.Times::transferMedianNs), ns -> "transfers " + time(ns))),
            people("transfers", of(clocked(Measurement.Times::transferMedianNs), Column::time), Table.BENCH).styled(Style.OWN_CLOCK),
            people("compile", of(clocked(Measurement.Times::compileNs), Column::time), Table.BENCH).styled(Style.OWN_CLOCK),
            csv("first_run_ns", times(Measurement.Times::firstRunNs)).shown("first run", Column::time, Table.BENCH, Table.PAGE)
                    .noted(of(clocked(Measurement.Times::compileNs), ns -> "compile " + time(ns))),
            csv("compile_ns", times(Measurement.Times::compileNs)),
            csv("plan_ns", times(Measurement.Times::planNs)),
            people("ratio [95%]", row -> row.line().ratio() == null ? "" : row.line().ratio().numbers(), Table.COMPARE, Table.PAGE)
                    .styled(Style.RATIO),
            people("verdict", row -> row.line().verdict(), Table.COMPARE, Table.PAGE).styled(Style.VERDICT),
            csv("tflops", rates(Measurement.Rates::tflops)).shown("rate", x -> Numbers.rate((Double) x), Table.values()),
            csv("gbps", rates(Measurement.Rates::gbps)),
            csv("share_of_fma", rates(Measurement.Rates::shareOfFma)).shown("of FMA", Column::percent, Table.values()),
            csv("share_of_copy", rates(Measurement.Rates::shareOfCopy)).shown("of copy", Column::percent, Table.BENCH),
            csv("error", accuracy(Measurement.AccuracyCheck::error)),
            people("error", row -> row.measurement().accuracy() == null ? "" : Numbers.error(row.measurement().accuracy().error()),
                    Table.values()),
            csv("error_bar", accuracy(Measurement.AccuracyCheck::bar)),
            csv("min_iterations", solve(Measurement.Solve::minIterations)),
            csv("mean_iterations", solve(Measurement.Solve::meanIterations)),
            csv("max_iterations_run", solve(Measurement.Solve::maxIterations)),
            csv("unsolved", solve(Measurement.Solve::unsolved)),
            csv("limited_by_rounding", solve(Measurement.Solve::limited)),
            csv("in_float64", solve(Measurement.Solve::recomputed)),
            csv("estimated_error", solve(Measurement.Solve::estimatedError)),
            people("iterations", of(solve(s -> iterations(s, "/")), Object::toString), Table.BENCH),
            people("iterations", of(solve(s -> iterations(s, " / ")), Object::toString), Table.PAGE),
            csv("workspace_bytes", memory(Measurement.Memory::workspaceBytes)),
            csv("working_set_bytes", memory(Measurement.Memory::workingSetBytes)),
            csv("host_peak_bytes", memory(Measurement.Memory::hostPeakBytes)),
            people("memory", of(memory(Column::parts), Object::toString), Table.BENCH),
            people("memory", of(memory(m -> m.workspaceBytes() == null ? null : Numbers.bytes(m.tensorBytes() + m.workspaceBytes())),
                    Object::toString), Table.COMPARE, Table.PAGE),
            people("status", row -> row.measurement().status().word(), Table.BENCH),
            csv("wall_ns", times(t -> samples(t.wallNs()))),
            csv("kernel_ns", times(t -> samples(t.kernelNs()))),
            csv("copy_in_ns", times(t -> samples(t.copyInNs()))),
            csv("copy_out_ns", times(t -> samples(t.copyOutNs()))),
            csv("message", row -> row.measurement().message()));

    /** The columns of CSV. */
    static List<Column> ofCsv() {
        return ALL.stream().filter(column -> column.key != null).toList();
    }

    /** The columns that people see in this table of these rows. */
    static List<Column> of(Table table, List<Row> rows) {
        return ALL.stream().filter(column -> column.tables.contains(table)).filter(column -> column.style != Style.OWN_CLOCK
                || table == Table.COMPARE || rows.stream().anyMatch(Row::hasOwnClock)).toList();
    }

    private static Column csv(String key, Function<Row, Object> value) {
        return new Column(key, value, null, row -> "", EnumSet.noneOf(Table.class), Style.NUMBER, row -> "");
    }

    private static Column people(String title, Function<Row, String> cell, Table... tables) {
        return new Column(null, row -> null, title, cell, Set.of(tables), Style.NUMBER, row -> "");
    }

    /** Shown to people too, as these words for a value that is there. */
    private Column shown(String heading, Function<Object, String> words, Table... where) {
        return new Column(key, value, heading, of(value, words), Set.of(where), style, note);
    }

    private Column styled(Style how) {
        return new Column(key, value, title, cell, tables, how, note);
    }

    private Column noted(Function<Row, String> second) {
        return new Column(key, value, title, cell, tables, style, second);
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

    private static Function<Row, Object> rates(Function<Measurement.Rates, Object> value) {
        return row -> row.measurement().rates() == null ? null : value.apply(row.measurement().rates());
    }

    private static Function<Row, Object> accuracy(Function<Measurement.AccuracyCheck, Object> value) {
        return row -> row.measurement().accuracy() == null ? null : value.apply(row.measurement().accuracy());
    }

    private static Function<Row, Object> solve(Function<Measurement.Solve, Object> value) {
        return row -> row.measurement().solve() == null ? null : value.apply(row.measurement().solve());
    }

    private static Function<Row, Object> memory(Function<Measurement.Memory, Object> value) {
        return row -> row.measurement().memory() == null ? null : value.apply(row.measurement().memory());
    }

    private static String time(Object ns) {
        return Numbers.time(((Number) ns).doubleValue());
    }

    private static String percent(Object share) {
        return Numbers.percent((Double) share);
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
