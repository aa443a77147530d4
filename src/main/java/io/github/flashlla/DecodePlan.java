package io.github.flashlla;

/**
 * One decoding step, ready to run many times: one query per sequence and head against everything its sequence holds in
 * the {@link KvCache}. Use it from one thread at a time, and not while its cache changes: anything else throws {@link
 * IllegalStateException}, as does a step after the plan, its cache or its device is closed.
 *
 * <p>A device gives the same bits for the same step, but on {@code jvm} a sequence of 2048 tokens and more may be cut into as many
 * slices as suit the number of threads, so that another number of threads can give other last bits.
 */
public interface DecodePlan extends AutoCloseable {

    /** The cache that it reads. */
    KvCache cache();

    /** The step's sizes: Sq = 1, Sk = the cache's capacity (the lengths are the cache's). */
    AttentionShape shape();

    /**
     * As given. Causal or not makes no difference to a last query; tolerance and cap matter only to
     * {@link DecodeMethod#MATRIX_FREE}.
     */
    LlaOptions options();

    /** Room for what {@link #decode} returns: output (B,H,1,Dv), log-sum-exp, iterations and residual (B,H,1). */
    default LlaResult newResult() {
        return new LlaResult(shape(), DataType.FLOAT32, options().keepState());
    }

    /**
     * Attends with one query per sequence and head. The query sees every token of its sequence, or the last {@link
     * LlaOptions#window()} of them where there is a window, the newest included: append first. An empty sequence gives output 0 and log-sum-exp -infinity.
     *
     * <p>Iterations are 0 where the solve was direct; the residual is ||A x - (kbar - q)|| / ||kbar - q|| either way.
     *
     * <p>q and the tokens must be finite; nobody looks at them for that.
     *
     * @param q (B,H,1,D)
     * @param ridge one per query (B,H,1), or null to use {@link LlaOptions#ridge()}
     * @param result from {@link #newResult()}
     * @throws InvalidInputException if a shape is wrong, or the output lies in the memory of q or the ridge
     * @throws DeviceException if the device fails, or the output is NaN or infinite, as it is where q or a token that it sees is; the
     *     result is then not to be used. The {@code reference} device refuses such a q or key with an {@link InvalidInputException}
     */
    void decode(Tensor q, Tensor ridge, LlaResult result);

    /** The same with the options' ridge. */
    default void decode(Tensor q, LlaResult result) {
        decode(q, null, result);
    }

    /** What the last step used for its longest sequence; never {@link DecodeMethod#AUTO} after a step. */
    DecodeMethod lastMethod();

    /** Bytes that this plan holds beyond the cache, queries and output. */
    long workspaceBytes();

    @Override
    void close();
}
