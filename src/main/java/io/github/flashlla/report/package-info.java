/**
 * Benchmark records, and what people read of them: tables, comparisons, pages. Knows records, not devices.
 *
 * <p>{@link io.github.flashlla.report.BenchmarkRecord} is the one format, described by the JSON schema
 * {@code bench/schema/record-v1.schema.json}; {@link io.github.flashlla.report.RecordFile} reads and writes it.
 */
package io.github.flashlla.report;
