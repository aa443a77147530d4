/** Programs to start from; the tests run them. */
package io.github.flashlla.examples;
