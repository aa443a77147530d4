/**
 * What the host knows of TornadoVM without loading it: SDK, backends, flags, device profiles, devices.
 *
 * <p>{@link io.github.flashlla.tornadovm.TornadoSdk} finds the SDK, {@link io.github.flashlla.tornadovm.TornadoFlags}
 * composes the command line of a JVM that can load it, {@link io.github.flashlla.tornadovm.BackendSurvey} asks each backend
 * for its devices in a JVM of its own, and {@link io.github.flashlla.tornadovm.Doctor} explains what is missing.
 */
package io.github.flashlla.tornadovm;
