"""What the ridge does on a small regression: mean square error of the next value, by the exact formula in float64 (NumPy alone)."""

import numpy as np

SEQUENCES, SEGMENTS, LENGTH, D, NOISE = 8, 4, 256, 16, 0.05


def sequence(random):
    """Keys of norm sqrt(D) around a centre and values W k + noise; centre and map change with every segment."""
    keys, values = [], []
    for _ in range(SEGMENTS):
        centre = random.standard_normal(D)
        centre *= np.sqrt(D) / np.linalg.norm(centre)
        w = random.standard_normal((D, D)) / np.sqrt(D)
        k = centre + 0.5 * random.standard_normal((LENGTH, D))
        k *= np.sqrt(D) / np.linalg.norm(k, axis=1, keepdims=True)
        keys.append(k)
        values.append(k @ w.T + NOISE * random.standard_normal((LENGTH, D)))
    return np.concatenate(keys), np.concatenate(values)


def lla(query, keys, values, ridge, scale):
    """The operator for one query: softmax attention's answer, corrected by the local slope; ridge = inf leaves it uncorrected."""
    scores = scale * keys @ query
    p = np.exp(scores - scores.max())
    p /= p.sum()
    mean = p @ keys
    z = keys - mean
    if np.isinf(ridge):
        return p @ values
    x = np.linalg.solve((z * p[:, None]).T @ z + ridge * np.eye(D), mean - query)
    return (p * (1 - z @ x)) @ values


def main():
    random = np.random.default_rng(1)
    data = [sequence(random) for _ in range(SEQUENCES)]
    print("| ridge | mean square error, positions 192 to 255 of a segment |")
    print("|---:|---:|")
    for ridge in (np.inf, 10, 1, 0.1, 0.01, 0.001):
        errors = [np.mean((lla(k[i], k[:i], v[:i], ridge, D ** -0.5) - v[i]) ** 2)
                  for k, v in data for s in range(SEGMENTS) for i in range(s * LENGTH + 192, (s + 1) * LENGTH, 4)]
        print(f"| {'softmax attention' if np.isinf(ridge) else f'{ridge:g}'} | {np.mean(errors):.3g} |")


if __name__ == "__main__":
    main()
