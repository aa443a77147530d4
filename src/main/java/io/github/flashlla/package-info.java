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
 * <p>For each query i, with p the softmax weights of its scores over the keys that it sees:
 *
 * <pre>
 * kbar = sum p_j k_j,   A = sum p_j (k_j - kbar)(k_j - kbar)^T + ridge I,   x = A^-1 (kbar - q),   o = sum p_j (1 - (k_j - kbar).x) v_j
 * </pre>
 *
 * <p>the fit of an affine model by Zuo et al., <a href="https://arxiv.org/abs/2510.01450">Local Linear Attention</a>, whose own form is centred on q; the two
 * are equal, and the ridge is relative to the weights' sum. B is the batch, H the query heads, Hkv the key/value heads, of which query head h reads
 * h / (H / Hkv), Sq and Sk are the numbers of queries and keys, D and Dv the dims of a key and of a value.
 *
 * <p>Nothing here depends on TornadoVM; devices are found through {@link io.github.flashlla.DeviceProvider}.
 */
package io.github.flashlla;
