/**
 * Benchmarks: what to run ({@link io.github.flashlla.bench.Suite}), running it in a process per device
 * ({@link io.github.flashlla.bench.BenchmarkRun}), and measuring one workload
 * ({@link io.github.flashlla.bench.WorkloadRunner}).
 */
package io.github.flashlla.bench;
