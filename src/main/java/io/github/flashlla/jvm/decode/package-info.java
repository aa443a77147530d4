/** Decoding on this JVM: one key/value head's cache in tiles, and one step for the query heads that share it. */
package io.github.flashlla.jvm.decode;
