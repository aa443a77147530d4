package io.github.flashlla.spark;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.DecodeMoments;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;

/** Local Linear Attention on Apache Spark, for problems that one machine is too small for. */
public final class LlaSpark {
    /** The device that a task runs on unless another is named: the GPU that Spark gave it ({@code gpu} resource), else {@code jvm}. */
    public static final String ASSIGNED_DEVICE = TaskDevice.ASSIGNED;

    private LlaSpark() {}

    /**
     * Forward over shards, a task each; no driver holds a tensor.
     *
     * @param device name as {@code flashlla devices} lists it, or {@link #ASSIGNED_DEVICE}
     */
    public static ShardSummary forward(JavaSparkContext sc, List<? extends Shard> shards, LlaOptions options, String device) {
        return forward(sc.parallelize(List.copyOf(shards), shards.size()), options, device).reduce(ShardSummary::plus);
    }

    /** The same over shards that are distributed already; nothing runs before an action is called on what it returns. */
    public static JavaRDD<ShardSummary> forward(JavaRDD<? extends Shard> shards, LlaOptions options, String device) {
        return shards.map(shard -> {
            var inputs = shard.inputs();
            try (LlaPlan plan = TaskDevice.of(device).plan(inputs.shape(), options)) {
                LlaResult result = plan.newResult();
                plan.forward(inputs, result);
                shard.store(result);
                return ShardSummary.of(result, options.tolerance());
            }
        });
    }

    /**
     * One decoding step.
     *
     * @param output (B,H,1,Dv)
     * @param logSumExp (B,H,1)
     */
    public record Decoded(Tensor output, Tensor logSumExp) {}

    /**
     * One decoding step over shards of a cache. Each task leaves moments of its keys in float64, which {@code treeAggregate} merges:
     * D (D + Dv) numbers a query, however many keys there are.
     *
     * @param q (B,H,1,D)
     * @param ridge one per query (B,H,1), or null to use the options'
     * @param origins one a key/value head (B,Hkv,1,D), near its keys, such as the newest: numbers about it keep their digits
     * @param shape of the step; its key length is not used
     * @throws DeviceException if keys are so far from each other that moments do not carry a query
     */
    public static Decoded decode(JavaRDD<? extends KeyShard> shards, Tensor q, Tensor ridge, Tensor origins, AttentionShape shape, LlaOptions options) {
        if (shape.queryLength() != 1) {
            throw new InvalidInputException("decoding takes one query per head, but q has " + shape.queryLength() + "; use forward");
        }
        LlaInputs.requireRidges(ridge);
        MomentTable.Step step = new MomentTable.Step(rows(q, shape.headDim()), shape.group(), rows(origins, shape.headDim()),
                options.scaleFor(shape.headDim()), shape.valueDim());
        MomentTable all = shards.treeAggregate(new MomentTable(), (table, shard) -> table.add(shard, step), MomentTable::merge);
        Tensor output = Tensor.allocate(DataType.FLOAT32, shape.outputDims());
        Tensor logSumExp = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
        for (int row = 0; row < shape.rows(); row++) {
            DecodeMoments.Step solved = all.solve(row, step, ridge == null ? options.ridge() : ridge.get(row));
            if (!solved.carried()) {
                throw new DeviceException("the keys of query head " + row + " lie too far from each other for its ridge: their moments lose the answer's "
                        + "digits; raise the ridge, or decode without Spark");
            }
            for (int e = 0; e < shape.valueDim(); e++) {
                output.set((long) row * shape.valueDim() + e, solved.o()[e]);
            }
            logSumExp.set(row, solved.logSumExp());
        }
        return new Decoded(output, logSumExp);
    }

    private static double[][] rows(Tensor tensor, int width) {
        double[][] rows = new double[Math.toIntExact(tensor.size() / width)][width];
        for (int row = 0; row < rows.length; row++) {
            for (int d = 0; d < width; d++) {
                rows[row][d] = tensor.get((long) row * width + d);
            }
        }
        return rows;
    }
}
