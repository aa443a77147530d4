/** Holds devices against the float64 reference: test vectors, random problems, sampled queries of large ones. */
package io.github.flashlla.verify;
