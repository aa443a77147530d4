package io.github.flashlla.precise;

/**
 * Sizes of keys and values.
 *
 * @param key largest element of k
 * @param value largest element of v
 * @param spread largest ||k_j - mean|| of each key/value head (B,Hkv)
 */
public record KeySizes(float key, float value, double[] spread) {

    /** Of all heads, from those of each. */
    public static KeySizes of(KeySizes[] heads) {
        float key = 0;
        float value = 0;
        double[] spread = new double[heads.length];
        for (int head = 0; head < heads.length; head++) {
            key = Math.max(key, heads[head].key);
            value = Math.max(value, heads[head].value);
            spread[head] = heads[head].spread[0];
        }
        return new KeySizes(key, value, spread);
    }
}
