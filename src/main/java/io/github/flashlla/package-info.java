/**
 * Local Linear Attention: the types a caller imports.
 *
 * <p>{@link io.github.flashlla.LlaInputs} holds q, k and v, {@link io.github.flashlla.LlaOptions} says how to solve,
 * a {@link io.github.flashlla.Device} computes, {@link io.github.flashlla.LlaResult} is what comes back:
 *
 * <pre>{@code
 * try (Device device = Devices.open("jvm")) {
 *     LlaInputs inputs = LlaInputs.of(q, k, v);                       // (B,H,Sq,D) (B,Hkv,Sk,D) (B,Hkv,Sk,Dv)
 *     LlaResult result = device.forward(inputs, LlaOptions.defaults());
 *     float[] o = result.output().toFloatArray();                     // (B,H,Sq,Dv)
 * }
 * }</pre>
 *
 * <p>Nothing here depends on TornadoVM; devices are found through {@link io.github.flashlla.DeviceProvider}.
 */
package io.github.flashlla;
