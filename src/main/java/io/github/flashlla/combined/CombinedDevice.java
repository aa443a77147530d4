package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.spi.DeviceState;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Several devices as one. A problem is divided by their measured speeds: whole key/value heads with their queries where that is even
 * enough, else blocks of queries too. Devices of one kind are taken to be equally fast.
 *
 * <p>A head alone gives on a device what it gives among others, so that equal devices give the bits of one. Where the queries of a
 * causal head are divided, a device sees fewer keys than one that computes it alone, and last bits may differ; gradients of its keys
 * and values are sums over the blocks, in their order.
 *
 * <p>If a part's process dies during a pass, another does its share again, and the plans that are there go on without it. There are no
 * new plans and caches then: they would not be what the device's name says. What the part's cache held is lost.
 */
final class CombinedDevice implements Device {
    private final DeviceInfo info;
    private final DeviceState state;
    private final Crew crew;
    private final boolean equal;
    /** A piece of 4 heads of 16384 tokens, which a large GPU computes in 3 ms. */
    private long leastPieceBytes = 64L << 20;
    /** Pairs per second of each part, by what computes them; relative only. */
    private final Map<String, Map<PartProcess, Double>> speeds = new HashMap<>();

    CombinedDevice(DeviceInfo info, List<DeviceInfo> parts) {
        this.info = info;
        this.state = new DeviceState(info.name());
        this.equal = parts.stream().map(CombinedDevice::kind).distinct().count() == 1;
        this.crew = new Crew(info.name(), state, parts);
    }

    /** What equally fast devices have in common. */
    private static List<Object> kind(DeviceInfo part) {
        return List.of(part.backend(), part.hardware(), part.driver(), part.memoryBytes());
    }

    @Override
    public DeviceInfo info() {
        return info;
    }

    Crew crew() {
        return crew;
    }

    DeviceState state() {
        return state;
    }

    /** Bytes that a piece of a share has at least, in float32, where the share is done in pieces. */
    long leastPieceBytes() {
        return leastPieceBytes;
    }

    /** For tests with small problems; of plans that are made afterwards. */
    void setLeastPieceBytes(long bytes) {
        leastPieceBytes = bytes;
    }

    /** Whether shares are equal whatever is measured. */
    boolean equal() {
        return equal;
    }

    @Override
    public LlaPlan plan(AttentionShape shape, LlaOptions options) {
        return plan(shape, options, false);
    }

    @Override
    public LlaPlan softmaxPlan(AttentionShape shape, LlaOptions options) {
        return plan(shape, options, true);
    }

    private LlaPlan plan(AttentionShape shape, LlaOptions options, boolean softmax) {
        state.requireOpen();
        options.requirePrecisionOf(info);
        crew.requireWhole();
        return new CombinedPlan(this, shape, options, softmax);
    }

    @Override
    public KvCache kvCache(KvCacheShape shape) {
        state.requireOpen();
        crew.requireWhole();
        double[] speeds = speeds(crew.living(), new AttentionShape(1, shape.kvHeads(), shape.kvHeads(), shape.capacity(), shape.capacity(),
                shape.headDim(), shape.valueDim()), LlaOptions.defaults(), false);
        return KeySplit.pays(shape, speeds) ? new SplitCache(this, shape, speeds)
                : new CombinedCache(this, shape, speeds);
    }

    /** The speeds of the living parts for problems like this one, measured the first time; all 1 where the parts are equal. */
    double[] speeds(Collection<PartProcess> parts, AttentionShape shape, LlaOptions options, boolean softmax) {
        double[] known = new double[parts.size()];
        if (equal || parts.size() == 1) {
            Arrays.fill(known, 1);
            return known;
        }
        Map<PartProcess, Double> measured;
        synchronized (speeds) {
            measured = speeds.computeIfAbsent(key(options, softmax), kind -> new LinkedHashMap<>());
            if (measured.isEmpty()) {
                crew.all(part -> new Orders.TakeTime(shape, options, softmax), Double.class)
                        .forEach((part, seconds) -> measured.put(part, 1 / Math.max(seconds, 1e-9)));
            }
            int n = 0;
            for (PartProcess part : parts) {
                known[n++] = measured.getOrDefault(part, 1.0);
            }
        }
        return known;
    }

    /** Remembers what a pass showed. */
    void learn(Map<PartProcess, Double> shown, LlaOptions options, boolean softmax) {
        synchronized (speeds) {
            speeds.computeIfAbsent(key(options, softmax), kind -> new LinkedHashMap<>()).putAll(shown);
        }
    }

    private static String key(LlaOptions options, boolean softmax) {
        return (softmax ? "softmax " : "lla ") + options.precision();
    }

    /** The sum of the parts', where all have them. */
    @Override
    public Optional<Ceilings> measureCeilings() {
        state.requireOpen();
        double[] sums = new double[3];
        for (double[] ceilings : crew.all(part -> new Orders.MeasureCeilings(), double[].class).values()) {
            if (ceilings.length == 0) {
                return Optional.empty();
            }
            for (int n = 0; n < sums.length; n++) {
                sums[n] += ceilings[n];
            }
        }
        return Optional.of(new Ceilings(sums[0], sums[1], sums[2]));
    }

    @Override
    public void close() {
        state.close();
        crew.close();
    }
}
