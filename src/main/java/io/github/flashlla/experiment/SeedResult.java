package io.github.flashlla.experiment;

import java.util.List;

/** @param seconds wall time of this seed on its machine */
public record SeedResult(long seed, double seconds, List<Curve> curves) {

    public Curve curve(String panel, String method) {
        return curves.stream().filter(curve -> curve.panel().equals(panel) && curve.method().equals(method)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("seed " + seed + " has no curve of " + method + " in " + panel));
    }
}
