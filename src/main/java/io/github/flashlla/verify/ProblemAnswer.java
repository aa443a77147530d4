package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.SolveState;
import io.github.flashlla.Tensor;

/**
 * What a device, or the float64 reference, says to a problem.
 *
 * @param forward output and what is said of each query; of the reference's decoding only the output counts
 * @param gradients null unless they were asked for
 */
record ProblemAnswer(LlaResult forward, LlaGradients gradients) {

    /** By the device's public ways. */
    static ProblemAnswer of(ProblemPlans plans, RandomProblem problem) {
        ProblemAnswer[] answer = new ProblemAnswer[1];
        if (problem.mode() == RandomProblem.Mode.DECODE) {
            DataType type = problem.inputs().k().type() == DataType.FLOAT16 ? DataType.FLOAT16 : DataType.FLOAT32;
            plans.decoding(problem.shape(), problem.options(), type,
                    decoding -> answer[0] = new ProblemAnswer(decode(decoding, problem), null));
            return answer[0];
        }
        plans.forward(problem.shape(), problem.options(), plan -> {
            LlaResult result = plan.newResult();
            plan.forward(problem.inputs(), result);
            LlaGradients gradients = problem.mode() == RandomProblem.Mode.FORWARD ? null : plan.newGradients();
            if (gradients != null) {
                plan.backward(problem.inputs(), result, problem.g(), gradients);
            }
            answer[0] = new ProblemAnswer(result, gradients);
        });
        return answer[0];
    }

    /** In float64 of the inputs as devices round them. */
    static ProblemAnswer exact(RandomProblem problem) {
        RandomProblem rounded = problem.with(problem.rounded(), problem.g(), problem.lengths());
        try (Device reference = Devices.open("reference"); ProblemPlans plans = new ProblemPlans(reference, 0)) {
            if (problem.mode() != RandomProblem.Mode.DECODE) {
                return of(plans, rounded);
            }
            AttentionShape shape = problem.shape();
            LlaResult whole = new LlaResult(shape, DataType.FLOAT64, false);
            long perSequence = whole.output().size() / shape.batch();
            for (int sequence = 0; sequence < shape.batch(); sequence++) {
                LlaInputs own = Slices.sequence(rounded.inputs(), sequence, problem.lengths()[sequence]);
                Tensor output = reference.forward(own, problem.options()).output(); // one query sees all keys, causal or not
                for (long i = 0; i < perSequence; i++) {
                    whole.output().set(sequence * perSequence + i, output.get(i));
                }
            }
            return new ProblemAnswer(whole, null);
        }
    }

    /** In uneven chunks, with a draft that is dropped again, each sequence to its own length. */
    private static LlaResult decode(ProblemPlans.Decoding decoding, RandomProblem problem) {
        AttentionShape shape = problem.shape();
        KvCache cache = decoding.cache();
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            LlaInputs all = Slices.sequence(problem.inputs(), sequence, shape.keyLength());
            int length = problem.lengths()[sequence];
            int prompt = 1 + (length - 1) * 2 / 3;
            append(cache, sequence, all, 0, prompt);
            append(cache, sequence, all, 0, shape.keyLength() - prompt);
            cache.truncate(sequence, prompt);
            append(cache, sequence, all, prompt, length);
        }
        LlaResult result = decoding.plan().newResult();
        decoding.plan().decode(problem.inputs().q(), problem.inputs().ridge(), result);
        return result;
    }

    private static void append(KvCache cache, int sequence, LlaInputs all, int from, int to) {
        if (to > from) {
            cache.append(sequence, chunk(all.k(), from, to), chunk(all.v(), from, to));
        }
    }

    private static Tensor chunk(Tensor tensor, int from, int to) {
        return Slices.of(tensor, 2, from, to).reshape(tensor.dim(1), to - from, tensor.dim(3));
    }

    /** Says of a query that it is not to be trusted, in either solve. */
    boolean says(int row, double tolerance, double roundingBar) {
        return forward.state(row, tolerance) != SolveState.SOLVED || forward.roundingError()[row] > roundingBar // NaN says nothing
                || gradients != null && gradients.state(row, tolerance) != SolveState.SOLVED;
    }
}
