"""Writes the arrays beside it: Local Linear Attention under a dense mask, in float64, and its gradients by complex steps.

Knows nothing of windows, offsets or blocks but the mask that they stand for. Run it here: python3 make.py
"""
import numpy as np


def lla(q, k, v, ridge, mask, scale):
    """q (H,Sq,D), k (Hkv,Sk,D), v (Hkv,Sk,Dv), ridge (H,Sq), mask (Sq,Sk) -> o (H,Sq,Dv)"""
    group = q.shape[0] // k.shape[0]
    k, v = np.repeat(k, group, 0), np.repeat(v, group, 0)
    s = scale * np.einsum('hid,hjd->hij', q, k)
    top = np.where(mask, s.real, -np.inf).max(-1, keepdims=True)
    p = np.where(mask, np.exp(s - top), 0)
    p = p / p.sum(-1, keepdims=True)
    kbar = np.einsum('hij,hjd->hid', p, k)
    z = k[:, None] - kbar[:, :, None]  # (H,Sq,Sk,D)
    a = np.einsum('hij,hijc,hijd->hicd', p, z, z) + ridge[..., None, None] * np.eye(q.shape[-1])
    x = np.linalg.solve(a, (kbar - q)[..., None])[..., 0]
    return np.einsum('hij,hjd->hid', p * (1 - np.einsum('hijd,hid->hij', z, x)), v)


def write(name, heads, kv_heads, q_lengths, k_lengths, window, seed, d=5, dv=3):
    rng = np.random.default_rng(seed)
    sq, sk = sum(q_lengths), sum(k_lengths)
    single = lambda *shape: rng.normal(size=shape).astype('f4').astype('f8')
    q, k, v, g = single(heads, sq, d), single(kv_heads, sk, d), single(kv_heads, sk, dv), single(heads, sq, dv)
    ridge = np.abs(single(heads, sq)) + 0.5
    ridge = ridge.astype('f4').astype('f8')
    mask = np.zeros((sq, sk), bool)
    q0 = k0 = 0
    for n, m in zip(q_lengths, k_lengths):
        for i in range(n):
            last = i + m - n
            mask[q0 + i, k0 + max(0, last - window + 1 if window else 0):k0 + last + 1] = True
        q0, k0 = q0 + n, k0 + m
    assert mask.any(1).all()
    inputs = {'q': q, 'k': k, 'v': v, 'lambda': ridge}
    run = lambda arrays: lla(arrays['q'], arrays['k'], arrays['v'], arrays['lambda'], mask, d ** -0.5)
    arrays = {'q': q, 'k': k, 'v': v, 'lambda': ridge, 'g': g, 'o': run(inputs)}
    for key, value in inputs.items():
        gradient = np.zeros_like(value)
        for at in np.ndindex(*value.shape):
            moved = {other: array.astype('c16') for other, array in inputs.items()}
            moved[key][at] += 1e-30j
            gradient[at] = (run(moved).imag * g).sum() / 1e-30
        arrays['d' + key] = gradient
    np.savez(name + '.npz', **arrays)


write('window', 2, 1, [40], [50], 7, 1)
write('packed', 2, 1, [1, 5, 12], [1, 9, 12], 0, 2)
write('packed-window', 2, 2, [1, 5, 12, 3], [1, 9, 12, 30], 4, 3)
