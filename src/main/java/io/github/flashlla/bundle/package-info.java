/** One archive with everything that a machine without Java and TornadoVM needs to run this project. */
package io.github.flashlla.bundle;
