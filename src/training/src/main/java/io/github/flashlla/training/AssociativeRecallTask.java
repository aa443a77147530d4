package io.github.flashlla.training;

import java.util.random.RandomGenerator;

/** MQAR: key-value pairs, then every key again in another order; after each, its value is to be told. */
record AssociativeRecallTask(int keys, int values, int[] pairs) implements Task {

    @Override
    public int inputs() {
        return keys + values;
    }

    @Override
    public int outputs() {
        return values;
    }

    @Override
    public int longest() {
        return 3 * pairs[pairs.length - 1];
    }

    @Override
    public boolean classes() {
        return true;
    }

    /** As many pairs as one of {@link #pairs}, drawn. */
    @Override
    public Batch draw(RandomGenerator random, int size) {
        return draw(random, size, pairs[random.nextInt(pairs.length)]);
    }

    Batch draw(RandomGenerator random, int size, int count) {
        int length = 3 * count;
        float[] input = new float[size * length * inputs()];
        float[] target = new float[size * length * outputs()];
        float[] weight = new float[size * length];
        for (int b = 0; b < size; b++) {
            int[] key = firstOf(shuffled(random, keys), count);
            int[] order = shuffled(random, count);
            int[] value = random.ints(count, 0, values).toArray();
            for (int n = 0; n < count; n++) {
                input[(b * length + 2 * n) * inputs() + key[n]] = 1;
                input[(b * length + 2 * n + 1) * inputs() + keys + value[n]] = 1;
                int row = b * length + 2 * count + n;
                input[row * inputs() + key[order[n]]] = 1;
                target[row * outputs() + value[order[n]]] = 1;
                weight[row] = 1;
            }
        }
        return new Batch(size, length, input, target, weight);
    }

    static int[] shuffled(RandomGenerator random, int count) {
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            int j = random.nextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }

    private static int[] firstOf(int[] all, int count) {
        return java.util.Arrays.copyOf(all, count);
    }
}
