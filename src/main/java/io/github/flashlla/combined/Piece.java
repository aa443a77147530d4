package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import java.io.Serializable;

/**
 * A part of a problem that is a problem itself: whole key/value heads with their groups of query heads, or a block of queries of
 * one. Key/value heads are counted over all batches, 0 to B*Hkv-1.
 *
 * @param fromHead first key/value head
 * @param toHead the one after the last
 * @param fromQuery first query of each head
 * @param toQuery the one after the last
 * @param keys keys that its last query sees, and all that it needs: the first of each head
 */
public record Piece(int fromHead, int toHead, int fromQuery, int toQuery, int keys) implements Serializable {

    public int heads() {
        return toHead - fromHead;
    }

    /** Of each query head. */
    public int queries() {
        return toQuery - fromQuery;
    }

    /** Its own sizes. With the mask aligned bottom-right, its queries see the keys that they see in the whole. */
    public AttentionShape shape(AttentionShape whole) {
        return new AttentionShape(1, heads() * whole.group(), heads(), queries(), keys, whole.headDim(), whole.valueDim());
    }

    /** Whether other pieces hold queries of the same head, so that gradients of its keys are a sum. */
    boolean sharesHead(AttentionShape whole) {
        return queries() < whole.queryLength();
    }
}
