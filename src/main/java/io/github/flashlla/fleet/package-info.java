/** The same benchmark on many machines: one record each, one report. Only this program's own bundle, a shell and tar are used there. */
package io.github.flashlla.fleet;
