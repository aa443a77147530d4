/**
 * Starting JVMs that TornadoVM can run in, without loading it here.
 *
 * <p>{@link io.github.flashlla.launch.TornadoSdk} finds the SDK, {@link io.github.flashlla.launch.TornadoFlags} composes
 * the command line, {@link io.github.flashlla.launch.BackendSurvey} asks each backend in a JVM of its own what devices it
 * has, and {@link io.github.flashlla.launch.Relay} runs a whole command in such a JVM.
 */
package io.github.flashlla.launch;
