package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class OverlapTest {

    /** q, k, v and o of each token side by side are apart, though their memory begins and ends in one another's. */
    @Test
    void interleavedViewsAreApart() {
        Tensor all = Tensor.allocate(DataType.FLOAT32, 2, 33, 12, 8); // (B,S,4 H,D)
        Tensor[] parts = new Tensor[4];
        Arrays.setAll(parts, n -> all.part(2, 3 * n, 3).permute(0, 2, 1, 3));
        for (int one = 0; one < 4; one++) {
            for (int other = 0; other < 4; other++) {
                assertEquals(one == other, Overlap.of(parts[one], parts[other]));
            }
        }
        assertTrue(Overlap.of(all.part(2, 2, 2), parts[0]));
        assertFalse(Overlap.of(all, all.copy()));
        assertFalse(Overlap.of(all.part(0, 0, 1), all.part(0, 1, 1)));
    }

    /** Its addresses may be those of a tensor that was made since. */
    @Test
    void memoryThatWasGivenBackIsApart() {
        Tensor made = Tensor.allocate(DataType.FLOAT32, 2, 3);
        Tensor before;
        try (Arena arena = Arena.ofShared()) {
            before = Tensor.wrap(made.memory().reinterpret(arena, null), DataType.FLOAT32, 2, 3);
            assertTrue(Overlap.of(before, made));
        }
        assertFalse(Overlap.of(before, made));
        assertFalse(Overlap.of(made, before));
    }

    /** Against the list of all bytes, for views of any shape, stride and type, on the heap and off it. */
    @Test
    void isWhatTheListOfBytesSays() {
        Random random = new Random(7);
        int apart = 0;
        for (int round = 0; round < 3000; round++) {
            Tensor memory = random.nextBoolean() ? Tensor.allocate(DataType.FLOAT32, 300)
                    : Tensor.wrap(MemorySegment.ofArray(new float[300]), DataType.FLOAT32, 300);
            Tensor one = view(random, memory);
            Tensor other = view(random, memory);
            Set<Long> bytes = bytes(one);
            bytes.retainAll(bytes(other));
            assertEquals(!bytes.isEmpty(), Overlap.of(one, other), one + " and " + other);
            apart += bytes.isEmpty() ? 1 : 0;
        }
        assertTrue(apart > 300 && apart < 2700, apart + " of 3000");
    }

    private static Tensor view(Random random, Tensor memory) {
        DataType type = random.nextBoolean() ? DataType.FLOAT32 : DataType.FLOAT16;
        long[] dims = LongStream.generate(() -> 1 + random.nextInt(3)).limit(3).toArray();
        long[] strides = LongStream.generate(() -> random.nextInt(20)).limit(3).toArray();
        return Tensor.wrap(memory.memory().asSlice(4L * random.nextInt(150)), type, dims, strides);
    }

    private static Set<Long> bytes(Tensor view) {
        Set<Long> bytes = new HashSet<>();
        long[] steps = view.strides();
        for (long i = 0; i < view.dim(0); i++) {
            for (long j = 0; j < view.dim(1); j++) {
                for (long n = 0; n < view.dim(2); n++) {
                    long at = view.memory().address() + (i * steps[0] + j * steps[1] + n * steps[2]) * view.type().bytes();
                    LongStream.range(at, at + view.type().bytes()).forEach(bytes::add);
                }
            }
        }
        return bytes;
    }
}
