package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.bench.Task.Target;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * Lists of shapes and options; every combination is a {@link Task}. A list that is left out (null) holds its default alone.
 *
 * @param mode passes to time; default {@code fwd}
 * @param batch B; default 1
 * @param heads H; default 8
 * @param kvHeads Hkv; default: as many as heads
 * @param seq Sk, and Sq unless that is given; default 1024 and 4096
 * @param querySeq Sq; default: as {@code seq}, and 1 for {@code decode}
 * @param headDim D and Dv; default 64
 * @param ridge ridge; default 1
 * @param causal causal masking; default true
 * @param tol tolerance of the solve; default 1e-3
 * @param maxIter cap on iterations; default 64
 * @param precond {@code none} or {@code jacobi}; default none
 * @param precision {@code float32} or {@code float16}: type of the products' factors; default float32
 * @param dtype {@code float32}, {@code float16} or {@code bfloat16}; default float32
 * @param operator {@code lla} or {@code softmax}, which is measured once however many solves there are; default lla
 * @param targetError errors to keep to, for which each device finds its tolerance, and its precision where that list is left out; default none
 */
public record Grid(
        List<Mode> mode,
        List<Integer> batch,
        List<Integer> heads,
        List<Integer> kvHeads,
        List<Integer> seq,
        List<Integer> querySeq,
        List<Integer> headDim,
        List<Double> ridge,
        List<Boolean> causal,
        List<Double> tol,
        List<Integer> maxIter,
        List<String> precond,
        List<String> precision,
        List<String> dtype,
        List<Operator> operator,
        List<Double> targetError) {

    /** Without errors to keep to. */
    public Grid(List<Mode> mode, List<Integer> batch, List<Integer> heads, List<Integer> kvHeads, List<Integer> seq, List<Integer> querySeq,
            List<Integer> headDim, List<Double> ridge, List<Boolean> causal, List<Double> tol, List<Integer> maxIter, List<String> precond,
            List<String> precision, List<String> dtype, List<Operator> operator) {
        this(mode, batch, heads, kvHeads, seq, querySeq, headDim, ridge, causal, tol, maxIter, precond, precision, dtype, operator, null);
    }

    /** More combinations than this are a mistake. */
    static final int MAX_TASKS = 10_000;

    private static final List<Integer> DEFAULT_SEQ = List.of(1024, 4096);

    /**
     * Every combination, the last list changing fastest.
     *
     * @throws InvalidInputException naming a value out of range
     */
    public List<Task> tasks() {
        List<Target> targets = targets();
        List<Task> tasks = new ArrayList<>();
        for (AttentionShape shape : shapes()) {
            for (Mode m : modes()) {
                for (String type : or(dtype, "float32")) {
                    for (LlaOptions options : options()) {
                        for (Operator op : or(operator, Operator.LLA)) {
                            for (Target target : targets) {
                                add(tasks, new Task(m, m == Mode.DECODE && querySeq == null ? step(shape) : shape, options,
                                        dataType(type), op, target));
                            }
                        }
                    }
                }
            }
        }
        return tasks;
    }

    /** The errors to keep to; null alone without any. */
    private List<Target> targets() {
        if (targetError == null) {
            return Collections.singletonList(null);
        }
        if (tol != null) {
            throw new InvalidInputException("target_error chooses the tolerances; leave tol out");
        }
        for (double target : or(targetError, 0.0)) {
            if (!(target > 0 && target < 1)) {
                throw new InvalidInputException("target_error must be above 0 and below 1, not " + target);
            }
        }
        return targetError.stream().map(error -> new Target(error, precision == null)).toList();
    }

    private List<Mode> modes() {
        return or(mode, Mode.FWD).stream().flatMap(m -> m.parts().stream()).distinct().toList();
    }

    /** The same with one query per head: the newest token's. */
    private static AttentionShape step(AttentionShape s) {
        return new AttentionShape(s.batch(), s.heads(), s.kvHeads(), 1, s.keyLength(), s.headDim(), s.valueDim());
    }

    private List<AttentionShape> shapes() {
        requireLengths("seq", seq);
        requireLengths("query_seq", querySeq);
        List<AttentionShape> shapes = new ArrayList<>();
        for (int b : or(batch, 1)) {
            for (int h : or(heads, 8)) {
                for (int hkv : or(kvHeads, h)) {
                    for (int d : or(headDim, 64)) {
                        for (int sk : seq == null ? DEFAULT_SEQ : or(seq, 0)) {
                            for (int sq : or(querySeq, sk)) {
                                requireFew(shapes);
                                shapes.add(new AttentionShape(b, h, hkv, sq, sk, d, d));
                            }
                        }
                    }
                }
            }
        }
        return shapes;
    }

    /** By the suite's word for it, since a shape would speak of queries where keys were given. */
    private static void requireLengths(String name, List<Integer> lengths) {
        if (lengths != null) {
            lengths.stream().filter(length -> length != null && length < 1).findFirst().ifPresent(length -> {
                throw new InvalidInputException(name + " must be at least 1, not " + length);
            });
        }
    }

    private List<LlaOptions> options() {
        List<LlaOptions> all = new ArrayList<>();
        for (double r : or(ridge, 1.0)) {
            for (boolean c : or(causal, true)) {
                for (double t : or(tol, 1e-3)) {
                    for (int cap : or(maxIter, 64)) {
                        for (String p : or(precond, "none")) {
                            for (String type : or(precision, "float32")) {
                                requireFew(all);
                                all.add(LlaOptions.defaults().withRidge(r).withCausal(c).withTolerance(t)
                                        .withMaxIterations(cap).withPreconditioner(preconditioner(p)).withPrecision(dataType(type)));
                            }
                        }
                    }
                }
            }
        }
        return all;
    }

    private static void add(List<Task> tasks, Task task) {
        if (task.options().causal() && task.shape().queryLength() > task.shape().keyLength()) {
            throw new InvalidInputException("causal masking needs at least as many keys as queries, but query_seq is "
                    + task.shape().queryLength() + " and seq is " + task.shape().keyLength());
        }
        requireFew(tasks);
        tasks.add(task);
    }

    private static void requireFew(List<?> list) {
        if (list.size() == MAX_TASKS) {
            throw new InvalidInputException("the lists combine to more than " + MAX_TASKS + " workloads; shorten them");
        }
    }

    private static <T> List<T> or(List<T> list, T otherwise) {
        if (list == null) {
            return List.of(otherwise);
        }
        if (list.isEmpty() || list.stream().anyMatch(Objects::isNull)) {
            throw new InvalidInputException("a list of a benchmark is empty or holds an empty element; remove it to use "
                    + "its default");
        }
        return list;
    }

    private static DataType dataType(String name) {
        return switch (name) {
            case "float32" -> DataType.FLOAT32;
            case "float16" -> DataType.FLOAT16;
            case "bfloat16" -> DataType.BFLOAT16;
            default -> throw new InvalidInputException("there is no element type '" + Printable.text(name)
                    + "'; use float32, float16 or bfloat16");
        };
    }

    private static Preconditioner preconditioner(String name) {
        try {
            return Preconditioner.valueOf(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new InvalidInputException("there is no preconditioner '" + Printable.text(name) + "'; use none or jacobi");
        }
    }
}
