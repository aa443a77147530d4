package io.github.flashlla;

import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What a pass says of each query's linear solve, (B,H,Sq) row-major: how it went, and how far it can be trusted. */
public abstract sealed class QuerySolves permits LlaResult, LlaGradients {
    private static final String AND = " and ";

    private final AttentionShape shape;
    private final int[] iterations;
    private final float[] residual;
    private final float[] recurrenceResidual;
    private int checkedRows;
    private int recomputedRows;
    private Timing timing = Timing.NONE;
    private long pairIterations;
    private String computedBy = "";

    QuerySolves(AttentionShape shape) {
        this.shape = shape;
        this.iterations = new int[Math.toIntExact(shape.rows())];
        Arrays.fill(iterations, -1);
        this.residual = unwritten();
        this.recurrenceResidual = unwritten();
    }

    /** NaN for each query. */
    float[] unwritten() {
        float[] perQuery = new float[iterations.length];
        Arrays.fill(perQuery, Float.NaN);
        return perQuery;
    }

    static Tensor unwritten(DataType type, long[] dims) {
        Tensor tensor = Tensor.allocate(type, dims);
        tensor.fill(Double.NaN);
        return tensor;
    }

    static void requireDims(String what, Tensor tensor, long[] dims) {
        if (!Arrays.equals(tensor.dims(), dims)) {
            throw new InvalidInputException(what + " has shape " + Tensor.shapeString(tensor.dims()) + ", but the problem needs "
                    + Tensor.shapeString(dims));
        }
    }

    /** Sizes of the pass. */
    public AttentionShape shape() {
        return shape;
    }

    /** Conjugate-gradient iterations of each query until it was solved or the cap was met; 0 for a direct solve, -1 until a run has written it. */
    public int[] iterations() {
        return iterations;
    }

    /**
     * ||A x - b|| / ||b||, b = kbar - q in forward and A u = -c in backward: the true one where rounding can matter, elsewhere
     * the recurrence's plus a bound of its rounding. Where float16 kernels end with a step that no iteration measures, it is what that step is foreseen to
     * leave.
     */
    public float[] residual() {
        return residual;
    }

    /** The residual as the recurrence of conjugate gradients carries it. */
    public float[] recurrenceResidual() {
        return recurrenceResidual;
    }

    /** Queries whose float32 solution was held against float64, and kept: {@link #residual()} is the true one. */
    public int checkedRows() {
        return checkedRows;
    }

    /** For devices. */
    public void setCheckedRows(int rows) {
        this.checkedRows = rows;
    }

    /** Queries that were solved in float64, since float32 could not carry them. */
    public int recomputedRows() {
        return recomputedRows;
    }

    /** For devices. */
    public void setRecomputedRows(int rows) {
        this.recomputedRows = rows;
    }

    /** How far one query's solve can be trusted. */
    public SolveState state(int row, double tolerance) {
        return SolveState.of(residual[row], recurrenceResidual[row], tolerance);
    }

    /** Queries in a state. */
    public long count(SolveState state, double tolerance) {
        long count = 0;
        for (int row = 0; row < residual.length; row++) {
            count += state(row, tolerance) == state ? 1 : 0;
        }
        return count;
    }

    /** Times of the run that wrote this. */
    public Timing timing() {
        return timing;
    }

    /** For devices. */
    public void setTiming(Timing newTiming) {
        this.timing = newTiming;
    }

    /**
     * Iterations that the device ran, summed over the (query, key) pairs they ran on: what work is counted by. A solved
     * query still takes part in its block's iterations.
     */
    public long pairIterations() {
        return pairIterations;
    }

    /** For devices. */
    public void setPairIterations(long newPairIterations) {
        this.pairIterations = newPairIterations;
    }

    /**
     * What computed this: the kernel variant, as {@code devices --kernels} names it, or a decoding step's method; several where parts were computed
     * differently, joined by " and ". Empty where the device has one way, where float64 on the host computed all of it, and until a run.
     */
    public String computedBy() {
        return computedBy;
    }

    /** For devices. */
    public void setComputedBy(String newComputedBy) {
        this.computedBy = newComputedBy;
    }

    /** For devices: a part was computed by {@code name}, too. */
    public void addComputedBy(String name) {
        computedBy = Stream.concat(Arrays.stream(computedBy.split(AND)), Arrays.stream(name.split(AND))).filter(one -> !one.isEmpty()).distinct()
                .collect(Collectors.joining(AND));
    }

    /** Forgets what earlier runs counted, before parts are {@link #take taken}. */
    void clear() {
        checkedRows = 0;
        recomputedRows = 0;
        pairIterations = 0;
        computedBy = "";
        timing = new Timing(0, 0, 0, 0, 0);
    }

    /** Takes over what a run over some queries of each head, the first being {@code first}, says of them. */
    void take(QuerySolves part, int first) {
        copyRows(part.iterations, part, iterations, first);
        copyRows(part.residual, part, residual, first);
        copyRows(part.recurrenceResidual, part, recurrenceResidual, first);
        checkedRows += part.checkedRows;
        recomputedRows += part.recomputedRows;
        pairIterations += part.pairIterations;
        timing = timing.plus(part.timing);
        addComputedBy(part.computedBy);
    }

    /** @param from, to arrays (B,H,Sq) of {@code part} and of this */
    final void copyRows(Object from, QuerySolves part, Object to, int first) {
        int count = part.shape.queryLength();
        for (int head = 0; head < shape.batch() * shape.heads(); head++) {
            System.arraycopy(from, head * count, to, head * shape.queryLength() + first, count);
        }
    }

    /** Largest residual of any query; NaN if one was not written. */
    public double worstResidual() {
        double worst = 0;
        for (float r : residual) {
            worst = Math.max(worst, r); // Math.max keeps NaN
        }
        return worst;
    }

    /** The most {@link #iterations()} of any query. */
    public int maxIterations() {
        return Arrays.stream(iterations).max().orElse(0);
    }

    /** The fewest {@link #iterations()} of any query. */
    public int minIterations() {
        return Arrays.stream(iterations).min().orElse(0);
    }

    /** The mean {@link #iterations()} of a query. */
    public double meanIterations() {
        return Arrays.stream(iterations).average().orElse(0);
    }
}
