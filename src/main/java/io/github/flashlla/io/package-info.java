/** Tensors from and to NumPy's {@code .npy} files. */
package io.github.flashlla.io;
