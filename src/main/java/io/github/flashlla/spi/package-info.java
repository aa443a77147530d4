/** What devices share: checks of arguments, states of devices and plans, the part of a cache that is the same everywhere. */
package io.github.flashlla.spi;
