/**
 * Local Linear Attention through TornadoVM: devices of its backends, kernels as annotated Java, and tasks for a caller's own graph.
 *
 * <p>Built only where a TornadoVM SDK is installed.
 */
package io.github.flashlla.tornado;
