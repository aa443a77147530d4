package io.github.flashlla.training;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.random.RandomGenerator;

/** Plays of Shakespeare, character by character: the next one is to be told. The last tenth of the text is never trained on. */
final class TextTask implements Task {
    private static final String TEXT = "shakespeare.txt";

    private final int length;
    private final String characters;
    private final int[] text;
    private final boolean heldOut;

    /** @param heldOut whether to draw from the part that is not trained on */
    TextTask(int length, boolean heldOut) {
        this.length = length;
        this.heldOut = heldOut;
        try (InputStream in = TextTask.class.getResourceAsStream(TEXT)) {
            String all = new String(in.readAllBytes(), StandardCharsets.US_ASCII);
            this.characters = all.chars().distinct().sorted().collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
            this.text = all.chars().map(characters::indexOf).toArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public int inputs() {
        return characters.length();
    }

    @Override
    public int outputs() {
        return characters.length();
    }

    @Override
    public int longest() {
        return length;
    }

    @Override
    public boolean classes() {
        return true;
    }

    @Override
    public Batch draw(RandomGenerator random, int size) {
        float[] input = new float[size * length * inputs()];
        float[] target = new float[size * length * outputs()];
        float[] weight = new float[size * length];
        java.util.Arrays.fill(weight, 1);
        int border = text.length / 10 * 9;
        for (int b = 0; b < size; b++) {
            int from = heldOut ? random.nextInt(border, text.length - length - 1) : random.nextInt(border - length - 1);
            for (int i = 0; i < length; i++) {
                input[(b * length + i) * inputs() + text[from + i]] = 1;
                target[(b * length + i) * outputs() + text[from + i + 1]] = 1;
            }
        }
        return new Batch(size, length, input, target, weight);
    }

    int token(char character) {
        return characters.indexOf(character);
    }

    char character(int token) {
        return characters.charAt(token);
    }
}
