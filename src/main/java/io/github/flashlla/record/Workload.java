package io.github.flashlla.record;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Tensor;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.List;

/**
 * The problem that a measurement solves, whoever solves it: two measurements can be compared when these are equal.
 *
 * @param mode {@code fwd}, {@code bwd} (the backward pass alone), {@code fwd+bwd}, {@code decode} (one step
 *     against a key/value cache) or {@code naive} (forward with all matrices in memory)
 * @param batch B
 * @param heads H, query heads
 * @param kvHeads Hkv, key/value heads
 * @param queryLength Sq
 * @param keyLength Sk
 * @param headDim D
 * @param valueDim Dv
 * @param causal whether query i sees keys j &lt;= i + (Sk - Sq) only
 * @param ridge ridge of every query, relative to its total weight
 * @param scale score scale
 * @param inputs how q, k and v are drawn: {@code normal} is the standard normal distribution
 */
public record Workload(
        @Limits(words = {"fwd", "bwd", "fwd+bwd", "decode", "naive"}) String mode,
        @Limits(min = 1) int batch,
        @Limits(min = 1) int heads,
        @Limits(min = 1) int kvHeads,
        @Limits(min = 1) int queryLength,
        @Limits(min = 1) int keyLength,
        @Limits(min = 1, max = 256) int headDim,
        @Limits(min = 1, max = 256) int valueDim,
        boolean causal,
        @Limits(above = true) double ridge,
        @Limits(min = -1e6, max = 1e6) double scale,
        @Limits(words = "normal") String inputs) {

    public AttentionShape shape() {
        return new AttentionShape(batch, heads, kvHeads, queryLength, keyLength, headDim, valueDim);
    }

    /** One line for people, with what is usual left out, such as {@code fwd 1x8x4096x64 ridge 1 causal}. */
    public String label() {
        return String.join(" ", parts());
    }

    /** The pieces of {@link #label()}. */
    public List<String> parts() {
        List<String> parts = new ArrayList<>(List.of(mode, batch + "x" + heads + "x" + queryLength + "x" + headDim));
        if (kvHeads != heads) {
            parts.add("Hkv=" + kvHeads);
        }
        if (keyLength != queryLength) {
            parts.add("Sk=" + keyLength);
        }
        if (valueDim != headDim) {
            parts.add("Dv=" + valueDim);
        }
        parts.add("ridge " + Numbers.plain(ridge));
        parts.add(causal ? "causal" : "full");
        if (Math.abs(scale * Math.sqrt(headDim) - 1) > 1e-6) {
            parts.add("scale " + Numbers.plain(scale));
        }
        return parts;
    }

    /** The same problem at another length, as one point of a scaling curve: everything but Sq and Sk. */
    public String family() {
        return mode + " " + batch + "x" + heads + "xSx" + headDim + (kvHeads != heads ? " Hkv=" + kvHeads : "")
                + (valueDim != headDim ? " Dv=" + valueDim : "")
                + (queryLength != keyLength ? " Sq=" + queryLength : "")
                + " ridge " + Numbers.plain(ridge) + (causal ? " causal" : " full");
    }

    /** Shape as (B,H,Sq,D). */
    public String shapeString() {
        return Tensor.shapeString(batch, heads, queryLength, headDim);
    }
}
