/** Child JVMs: a device's driver runs in one, so that a crash ends the child and not the command. */
package io.github.flashlla.process;
