package io.github.flashlla.tornado.buffers;

/**
 * A cache's keys and values as decoding kernels take them.
 *
 * @param rowsPerSequence rows between the first tokens of two sequences
 */
public record CacheArrays(CacheRows k, CacheRows v, int rowsPerSequence) {}
