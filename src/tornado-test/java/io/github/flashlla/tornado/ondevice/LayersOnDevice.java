package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaCache;
import io.github.flashlla.tornado.LlaDecodeTasks;
import io.github.flashlla.tornado.LlaPrefillTasks;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Layers of a transformer in task graphs, prefilled in chunks and decoded, against {@code reference} at every position. The large one
 * (1000 tokens in chunks of 128, 200 steps) runs with {@code -Dflashlla.test.layers=full}.
 */
public class LayersOnDevice {
    private static final LayerStack SMALL = new LayerStack(2, 4, 2, 16, 24, new int[] {70, 37}, 32, 6, 8, 0);
    private static final LayerStack FULL = new LayerStack(2, 4, 2, 64, 48, new int[] {1000}, 128, 200, 16, 0);
    private static final double FLOAT32_BAR = 1e-4;
    private static final double FLOAT16_BAR = 5e-3;

    /** Two prompts in pages that they take in turns, the last chunks ragged. */
    @Test
    void prefillsAndDecodesAsForwardDoes() throws Exception {
        everyWay(SMALL);
    }

    @Test
    @EnabledIfSystemProperty(named = "flashlla.test.layers", matches = "full", disabledReason = "takes minutes; -Dflashlla.test.layers=full runs it")
    void prefillsAThousandTokensAndDecodesTwoHundred() throws Exception {
        double[] errors = everyWay(FULL);
        System.out.println(TestDevice.NAME + ": off by at most " + errors[0] + " with a float32 cache, " + errors[1] + " with float16");
    }

    /** Returns the worst position's error in float32 and float16. */
    private static double[] everyWay(LayerStack stack) throws Exception {
        LayerStack.Model model = stack.model();
        Tensor[] expected = stack.expected(model);
        int[] order = stack.pages(3);
        int[] other = LayerStack.shuffled(order);
        assertFalse(Arrays.equals(order, other));
        LayerStack.Outcome paged = stack.run(model, DataType.FLOAT32, order);
        double float32 = stack.check(paged, model, expected, FLOAT32_BAR, "float32 in pages");
        LayerStack.Outcome shuffled = stack.run(model, DataType.FLOAT32, other);
        for (int b = 0; b < paged.y().length; b++) {
            assertArrayEquals(paged.y()[b], shuffled.y()[b], "pages in another order");
        }
        assertEquals(0, shuffled.compiled(), "another order of pages was compiled anew");
        double float16 = stack.check(stack.run(model, DataType.FLOAT16, other), model, expected, FLOAT16_BAR, "float16 in pages");
        return new double[] {float32, float16};
    }

    /** A window that begins within pages and chunks, and pages that go to another sequence once it is past them. */
    @Test
    void windowsForgetPages() throws Exception {
        TestDevice.assumeQuickCompiler();
        LayerStack stack = SMALL.withWindow(20);
        LayerStack.Model model = stack.model();
        stack.check(stack.run(model, DataType.FLOAT32, stack.pages(0)), model, stack.expected(model), FLOAT32_BAR, "a window of 20");
    }

    /** A cache without pages, and a head dim that is no multiple of anything. */
    @Test
    void prefillsAndDecodesWithoutPages() throws Exception {
        TestDevice.assumeQuickCompiler();
        LayerStack stack = new LayerStack(1, 2, 1, 7, 9, new int[] {21}, 16, 3, 0, 0);
        LayerStack.Model model = stack.model();
        stack.check(stack.run(model, DataType.FLOAT32, null), model, stack.expected(model), FLOAT32_BAR, "a cache without pages");
    }

    @Test
    void refusesWrongArraysBeforeAnythingIsCompiled() {
        KvCacheShape shape = new KvCacheShape(1, 1, 40, 8, 8, DataType.FLOAT32);
        LlaCache cache = LlaCache.of(TestDevice.NAME, shape);
        FloatArray q = new FloatArray(8);
        FloatArray k = new FloatArray(8);
        FloatArray v = new FloatArray(8);
        FloatArray o = new FloatArray(8);
        IntArray positions = new IntArray(1);
        LlaOptions options = LlaOptions.defaults();
        refused("q has 8 elements, but the shape needs 16", () -> LlaDecodeTasks.of(TestDevice.NAME, cache, 2, options, q, k, v, positions, o));
        refused("o is another one", () -> LlaDecodeTasks.of(TestDevice.NAME, cache, 1, options, q, k, v, positions, q));
        refused("k has 8 elements, but the shape needs 16", () -> LlaPrefillTasks.of(TestDevice.NAME, cache, 1, 2, options, new FloatArray(16), k,
                v, o));
        refused("causal", () -> LlaPrefillTasks.of(TestDevice.NAME, cache, 1, 1, options.withCausal(false), q, k, v, o));
        refused("the page table has 4 elements, but the shape needs 5", () -> LlaCache.paged(TestDevice.NAME, shape, 8, 3, new IntArray(4)));
        refused("1 pages of 40 tokens, not 5 of 8", () -> LlaCache.over(shape, 8, 5, null, new FloatArray(320), new FloatArray(320)));
        refused("at least 1 page", () -> LlaCache.paged(TestDevice.NAME, shape, 8, 0, LlaCache.table(shape, 8)));
    }

    @Test
    void refusesTokensThatHaveNoPage() {
        KvCacheShape shape = new KvCacheShape(2, 1, 40, 8, 8, DataType.FLOAT32);
        IntArray table = LlaCache.table(shape, 16);
        LlaCache cache = LlaCache.paged(TestDevice.NAME, shape, 16, 3, table);
        LlaPrefillTasks prefill = LlaPrefillTasks.of(TestDevice.NAME, cache, 1, 20, LlaOptions.defaults(), new FloatArray(160), new FloatArray(160),
                new FloatArray(160), new FloatArray(160));
        table.set(3, 2);
        prefill.place(1, 0, 16);
        refused("token 16 of sequence 1 has page -1 in the table; set it to one of 0 to 2", () -> prefill.place(1, 0, 17));
        table.set(4, 3);
        refused("page 3", () -> prefill.place(1, 0, 17));
        refused("do not fit", () -> prefill.place(1, 30, 11));
        refused("do not fit", () -> prefill.place(2, 0, 1));
        refused("21 tokens at position 0 is not one of 0 to 20", () -> prefill.place(0, 0, 21));
        refused("do not fit", () -> prefill.place(0, Integer.MAX_VALUE, 1));
    }

    /** Before the run's result is looked at, so none is needed. */
    @Test
    void refusesPositionsBeyondTheCache() {
        KvCacheShape shape = new KvCacheShape(1, 1, 64, 8, 8, DataType.FLOAT32);
        IntArray positions = new IntArray(1);
        LlaDecodeTasks decode = LlaDecodeTasks.of(TestDevice.NAME, LlaCache.of(TestDevice.NAME, shape), 1, LlaOptions.defaults(), new FloatArray(8),
                new FloatArray(8), new FloatArray(8), positions, new FloatArray(8));
        positions.set(0, 64);
        refused("65 tokens of sequence 0 do not fit", () -> decode.check(null));
        positions.set(0, Integer.MAX_VALUE);
        refused("2147483648 tokens of sequence 0 do not fit", () -> decode.check(null));
    }

    private static void refused(String part, org.junit.jupiter.api.function.Executable call) {
        String message = assertThrows(InvalidInputException.class, call).getMessage();
        assertTrue(message.contains(part), message);
    }
}
