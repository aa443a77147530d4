package io.github.flashlla.combined;

import io.github.flashlla.KvCacheShape;

/**
 * Which part holds which tokens of a sequence: blocks of them in turn, so that the parts' shares are as their speeds at every length.
 *
 * <p>Heads are divided by tokens only where dividing them whole would leave a part with far more than its share: a divided head takes two
 * rounds a step, and the direct solve.
 */
final class KeySplit {
    /** Tokens of a block: a tile of the device jvm. */
    static final int BLOCK = 128;
    /** Below it, two rounds cost as much as the division saves. */
    private static final int SHORTEST = 8192;
    /** How many times its fair share the busiest part may have. */
    private static final double UNFAIR = 1.5;

    /** Part of each block. */
    private final int[] owners;
    /** Blocks of each part before each block. */
    private final int[][] before;

    /** @param speeds relative, above 0 */
    KeySplit(int capacity, double[] speeds) {
        int blocks = Math.ceilDiv(capacity, BLOCK);
        owners = new int[blocks];
        before = new int[speeds.length][blocks + 1];
        for (int block = 0; block < blocks; block++) {
            int next = 0;
            for (int part = 1; part < speeds.length; part++) {
                if ((before[part][block] + 1) / speeds[part] < (before[next][block] + 1) / speeds[next]) {
                    next = part;
                }
            }
            owners[block] = next;
            for (int part = 0; part < speeds.length; part++) {
                before[part][block + 1] = before[part][block] + (part == next ? 1 : 0);
            }
        }
    }

    /** Whether a cache is better divided by tokens than by heads. TornadoVM's kernels for it want head dims of two or more. */
    static boolean pays(KvCacheShape shape, double[] speeds) {
        if (shape.capacity() < SHORTEST || shape.headDim() == 1 || speeds.length == 1) {
            return false;
        }
        int heads = shape.batch() * shape.kvHeads();
        int[] first = Shares.ofHeads(heads, speeds);
        double all = 0;
        double longest = 0;
        for (int part = 0; part < speeds.length; part++) {
            all += speeds[part];
            longest = Math.max(longest, (first[part + 1] - first[part]) / speeds[part]);
        }
        return longest > UNFAIR * heads / all;
    }

    /** Part that holds a token. */
    int owner(int token) {
        return owners[token / BLOCK];
    }

    /** How many of a sequence's first {@code tokens} a part holds. */
    int held(int part, int tokens) {
        int block = tokens / BLOCK;
        int some = tokens % BLOCK;
        return before[part][block] * BLOCK + (some > 0 && owners[block] == part ? some : 0);
    }

    /** Tokens from {@code token} on that lie together, at most {@code count}. */
    static int together(int token, int count) {
        return Math.min(count, BLOCK - token % BLOCK);
    }
}
