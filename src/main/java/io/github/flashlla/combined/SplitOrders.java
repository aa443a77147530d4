package io.github.flashlla.combined;

import io.github.flashlla.LlaOptions;

/** The orders about decoding where each part holds some of the keys; caches are made and filled by {@link CacheOrders}. */
final class SplitOrders {
    private SplitOrders() {}

    /**
     * Answers with the workspace.
     *
     * @param part index among those that hold keys
     * @param heads query heads that share a key/value head
     */
    record MakeSplitStep(int step, int cache, SplitRoom room, int part, int heads, LlaOptions options, int given, int left)
            implements Order<Long> {
        @Override
        public Long run(PartState state) {
            PartSplitStep made = new PartSplitStep(room, part, state.memories().get(given).segment(), state.memories().get(left).segment(),
                    state.caches().get(cache), heads, options);
            state.splitSteps().put(step, made);
            return made.workspaceBytes();
        }
    }

    /** @param seen of each key/value head, how many of this part's last tokens are counted */
    record Gather(int step, int[] seen) implements Order<Integer> {
        @Override
        public Integer run(PartState state) {
            state.splitSteps().get(step).gather(seen);
            return step;
        }
    }

    /** Answers with the workspace. */
    record Output(int step) implements Order<Long> {
        @Override
        public Long run(PartState state) {
            PartSplitStep decode = state.splitSteps().get(step);
            decode.output();
            return decode.workspaceBytes();
        }
    }

    record CloseSplitStep(int step) implements Order<Integer> {
        @Override
        public Integer run(PartState state) {
            PartSplitStep known = state.splitSteps().remove(step);
            if (known != null) {
                known.close();
            }
            return step;
        }
    }
}
