/** Dense float64 Local Linear Attention: the oracle of every test. */
package io.github.flashlla.reference;
