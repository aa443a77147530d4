/** What people read of records and of their comparison: tables, pages, charts. */
package io.github.flashlla.report;
