/**
 * Benchmark records: the data, and their files. Knows neither devices nor tables.
 *
 * <p>{@link io.github.flashlla.record.BenchmarkRecord} is the one format, described by the JSON schema
 * {@code bench/schema/record-v1.schema.json}; {@link io.github.flashlla.record.RecordFile} reads and writes it.
 */
package io.github.flashlla.record;
