/** Comparing records: which measurements belong together, and which differences are more than chance. */
package io.github.flashlla.report.compare;
