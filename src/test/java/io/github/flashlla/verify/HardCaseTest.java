package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.verify.FaultyDevice.Fault;
import io.github.flashlla.verify.RandomVerification.Drawing;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** That a run of random problems has every hard case, that each is what it says, and that a fault in it is found. */
class HardCaseTest {
    private static final int PROBLEMS = 100;

    @ParameterizedTest
    @EnumSource(Drawing.class)
    void aHundredProblemsHaveThemAll(Drawing drawing) {
        for (long seed = 1; seed <= 20; seed++) {
            List<HardCase> cases = drawing.seeds(seed, PROBLEMS).mapToObj(HardCase::of).toList();
            assertEquals(PROBLEMS, cases.size());
            assertEquals(EnumSet.allOf(HardCase.class), cases.stream().filter(one -> one != null).collect(Collectors.toCollection(() -> EnumSet.noneOf(HardCase.class))));
            assertEquals(PROBLEMS / 2, cases.stream().filter(one -> one == null).count());
        }
    }

    @Test
    void fewShapesHaveFewHeadDims() {
        Set<List<Integer>> dims = Drawing.FEW_SHAPES.seeds(3, PROBLEMS).filter(seed -> HardCase.of(seed) != null).mapToObj(seed -> {
            AttentionShape shape = RandomProblem.draft(seed).shape;
            return List.of(shape.headDim(), shape.valueDim());
        }).collect(Collectors.toSet());
        assertTrue(dims.size() <= 6, dims.toString());
    }

    @Test
    void otherSeedsAreOfNone() {
        for (long seed : new long[] {0, 3, 123456789, 669741885186156L, 3622790924554398019L, RandomProblem.STRAINED | 17}) {
            assertNull(HardCase.of(seed));
        }
    }

    /** What a case promises, of every problem of it. */
    @ParameterizedTest
    @EnumSource(HardCase.class)
    void eachIsWhatItSays(HardCase hard) {
        LongStream.range(0, 12).map(n -> hard.seed(RandomProblem.mix(n), RandomProblem.mix(n + 100), n)).forEach(seed -> {
            assertEquals(hard, HardCase.of(seed));
            RandomProblem problem = RandomProblem.draw(seed);
            AttentionShape shape = problem.shape();
            LlaInputs inputs = problem.inputs();
            IntStream seen = IntStream.range(0, shape.queryLength()).map(i -> shape.seenKeys(i, problem.options()));
            boolean holds = switch (hard) {
                case ONE_KEY -> seen.anyMatch(keys -> keys == 1);
                case FEW_KEYS, FEW_KEYS_DECODED -> shape.keyLength() < shape.headDim();
                case NO_KEY -> seen.anyMatch(keys -> keys == 0);
                case WINDOW, NARROW_WINDOW, DECODE_IN_A_WINDOW -> problem.options().window() > 0;
                case PACKED_SEQUENCES -> problem.sequences().count() > 1;
                case PACKED_SEQUENCES_AND_WINDOW -> problem.sequences().count() > 1 && problem.options().window() > 0;
                case CAUSAL_OFFSET -> problem.options().causal() && shape.keyLength() > shape.queryLength();
                case NO_MASK -> !problem.options().causal();
                case FEW_VALUE_DIMS -> shape.valueDim() < shape.headDim();
                case MANY_VALUE_DIMS -> shape.valueDim() > shape.headDim();
                case WIDE_HEADS -> shape.headDim() > 128;
                case GROUPED_HEADS -> shape.group() > 2 && shape.kvHeads() > 1 && shape.batch() > 1;
                case RIDGE_PER_QUERY -> inputs.ridge() != null;
                case STRIDES, PACKED_INPUTS -> !inputs.k().isRowMajor() || shape.keyLength() == 1;
                case DECODE, DECODE_FLOAT16 -> problem.lengths() != null;
                case OTHER_TYPES -> inputs.q().type() != DataType.FLOAT32 || inputs.k().type() != DataType.FLOAT32 || inputs.v().type() != DataType.FLOAT32;
                default -> true;
            };
            assertTrue(holds, problem.toString());
        });
    }

    /** Faults that a hundred problems must show, whatever the seed: the cases that they are of come at least once. */
    @ParameterizedTest
    @EnumSource(Fault.class)
    void faultsAreFound(Fault fault) {
        long wrong = 0;
        try (Device device = new FaultyDevice(Devices.open("jvm"), fault)) {
            wrong = RandomVerification.run(device, PROBLEMS, 11 + fault.ordinal(), Duration.ofMinutes(1), Drawing.FEW_SHAPES, failure -> { }).wrong();
        }
        assertEquals(fault != Fault.NONE, wrong > 0, fault + ": " + wrong);
    }

    /** The reference shares masks and heads with devices, the oracle does not: they must agree. */
    @Test
    void theReferenceAgreesWithTheOracle() {
        try (Device device = Devices.open("reference")) {
            RandomVerification counts = RandomVerification.run(device, PROBLEMS, 5, Duration.ofMinutes(1), Drawing.ALL_DIFFERENT,
                    failure -> System.out.println(failure.drawn() + "\n  " + failure.check()));
            assertEquals(0, counts.wrong());
            assertFalse(counts.coverage().isEmpty());
        }
    }
}
