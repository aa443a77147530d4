/** The machine that a benchmark runs on: its load, memory, environment and measured ceilings. */
package io.github.flashlla.bench.host;
