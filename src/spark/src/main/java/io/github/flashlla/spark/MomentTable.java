package io.github.flashlla.spark;

import io.github.flashlla.Tensor;
import io.github.flashlla.reference.DecodeMoments;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.TreeMap;

/** Moments of each query over the keys seen so far, in float64: what shards of a cache leave, and what merges exactly. */
final class MomentTable implements Serializable {
    private final Map<Integer, DecodeMoments> rows = new TreeMap<>();

    /**
     * A step's queries, which every task gets.
     *
     * @param q a query a row, B*H of them
     * @param group query heads that share a key/value head
     * @param origins of each key/value head's keys
     */
    record Step(double[][] q, int group, double[][] origins, double scale, int valueDim) implements Serializable {}

    /** Adds a shard's keys and values to the moments of its head's queries. */
    MomentTable add(KeyShard shard, Step step) {
        Tensor keys;
        Tensor values;
        try {
            keys = shard.keys();
            values = shard.values();
        } catch (IOException e) {
            throw new UncheckedIOException("the keys and values of head " + shard.head() + " cannot be read", e);
        }
        int dim = (int) keys.dim(3);
        double[] key = new double[dim];
        double[] value = new double[step.valueDim];
        for (long token = 0; token < keys.dim(2); token++) {
            for (int d = 0; d < dim; d++) {
                key[d] = keys.get(token * dim + d);
            }
            for (int e = 0; e < value.length; e++) {
                value[e] = values.get(token * value.length + e);
            }
            for (int row = shard.head() * step.group; row < (shard.head() + 1) * step.group; row++) {
                double score = 0;
                for (int d = 0; d < dim; d++) {
                    score += step.q[row][d] * key[d];
                }
                moments(row, step).add(step.scale * score, key, value);
            }
        }
        return this;
    }

    private DecodeMoments moments(int row, Step step) {
        return rows.computeIfAbsent(row, n -> new DecodeMoments(step.origins[n / step.group], step.valueDim));
    }

    MomentTable merge(MomentTable other) {
        other.rows.forEach((row, moments) -> {
            DecodeMoments known = rows.putIfAbsent(row, moments);
            if (known != null) {
                known.merge(moments);
            }
        });
        return this;
    }

    DecodeMoments.Step solve(int row, Step step, double ridge) {
        return moments(row, step).solve(step.q[row], ridge);
    }
}
