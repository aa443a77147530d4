package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.PackedPlan;
import io.github.flashlla.SolveState;
import io.github.flashlla.Tensor;

/**
 * What a device, or the float64 reference, says to a problem.
 *
 * @param forward output and what is said of each query
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
        if (problem.sequences() != null) {
            try (PackedPlan plan = plans.device().packedPlan(problem.shape(), problem.options())) {
                LlaResult result = plan.newResult();
                plan.forward(problem.inputs(), problem.sequences(), result);
                LlaGradients gradients = problem.mode().hasGradients() ? plan.newGradients() : null;
                if (gradients != null) {
                    plan.backward(problem.inputs(), problem.sequences(), problem.g(), gradients);
                }
                return new ProblemAnswer(result, gradients);
            }
        }
        plans.forward(problem.shape(), problem.options(), plan -> answer[0] = of(plan, problem));
        return answer[0];
    }

    private static ProblemAnswer of(LlaPlan plan, RandomProblem problem) {
        LlaInputs inputs = problem.inputs();
        LlaResult result = plan.newResult();
        if (problem.mode() == RandomProblem.Mode.OTHER_QUERIES) {
            plan.forward(otherQueries(inputs), result);
            plan.forwardQueries(inputs, result);
            return new ProblemAnswer(result, null);
        }
        plan.forward(inputs, result);
        if (problem.mode() == RandomProblem.Mode.GRADIENTS_OF_EARLIER) {
            plan.forward(otherQueries(inputs), plan.newResult());
        }
        if (!problem.mode().hasGradients()) {
            return new ProblemAnswer(result, null);
        }
        LlaGradients gradients = inputs.q().isRowMajor() ? plan.newGradients() : new LlaGradients(plan.shape(), laid(plan.shape().queryDims()),
                laid(plan.shape().keyDims()), laid(plan.shape().valueDims()));
        plan.backward(inputs, result, problem.g(), gradients);
        return new ProblemAnswer(result, gradients);
    }

    private static LlaInputs otherQueries(LlaInputs inputs) {
        return new LlaInputs(GradientIdentities.times(-2, inputs.q()).as(inputs.q().type()), inputs.k(), inputs.v(), inputs.ridge());
    }

    private static Tensor laid(long[] dims) {
        Tensor tensor = ProblemDraft.headsInside(DataType.FLOAT32, dims);
        tensor.fill(Double.NaN);
        return tensor;
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
