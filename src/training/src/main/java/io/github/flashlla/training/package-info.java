/** Experiments that train small models: layers, gradients and arrays are PyTorch's through DJL; LLA is this project's, on any device. */
package io.github.flashlla.training;
