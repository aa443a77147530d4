"""Local Linear Attention in plain PyTorch on the CPU: what the operator costs without kernels of its own."""

import record
import torch_device

NAME = "torch-lla"
QUERY_BLOCK = 256
KEY_BLOCK = 1024


def absent():
    """Why it cannot run here, or None."""
    return torch_device.absent()


def facts():
    return torch_device.facts(NAME, "torch", cuda=False)


def methods(options):
    return [{"operator": "lla", "tolerance": tol, "max_iterations": 64, "preconditioner": "none", "data_type": "float32"}
            for tol in options.tol]


def measure(w, method, options):
    import torch
    q, k, v = (torch.from_numpy(x) for x in record.inputs(w))
    told = {}

    def run():
        with torch.no_grad():
            output, told["iterations"], told["residual"], told["pair_iterations"] = lla(
                q, k, v, w["ridge"], w["scale"], w["causal"], method["tolerance"], method["max_iterations"])
        return output

    def solve():
        iterations = told["iterations"].double()
        residual = float(told["residual"].max())
        return {"min_iterations": int(iterations.min()), "mean_iterations": float(iterations.mean()),
                "max_iterations": int(iterations.max()), "worst_residual": residual,
                "unsolved": int((told["residual"] > method["tolerance"]).sum()),
                "pair_iterations": float(told["pair_iterations"])}

    return torch_device.measurement(NAME, w, method, (q, k, v), run,
                                    lambda: record.lla_flops(w, told["pair_iterations"]), options, solve)


def lla(q, k, v, ridge, scale, causal, tolerance, cap):
    """Three passes over key blocks for each query block of all heads (B,H,S,D).

    Returns o, iterations and residual per query, and iterations summed over the pairs they ran on.
    """
    import torch
    batch, heads, length, dim = q.shape
    q, k, v = (x.reshape(batch * heads, length, dim) for x in (q, k, v))
    output = torch.empty_like(q)
    iterations = torch.zeros(batch * heads, length, dtype=torch.int32)
    residual = torch.zeros(batch * heads, length)
    pair_iterations = 0
    for begin in range(0, length, QUERY_BLOCK):
        end = min(begin + QUERY_BLOCK, length)
        block = _Block(q[:, begin:end], k, v, begin, scale, causal)
        block.normalise()
        ran, iterations[:, begin:end], residual[:, begin:end], x = block.solve(ridge, tolerance, cap)
        output[:, begin:end] = block.output(x)
        seen = sum(min(i + 1, length) for i in range(begin, end)) if causal else (end - begin) * length
        pair_iterations += ran * seen * batch * heads
    return (output.view(batch, heads, length, dim), iterations.view(batch, heads, length),
            residual.view(batch, heads, length), pair_iterations)


class _Block:
    """One block of queries of all heads against the keys it sees."""

    def __init__(self, q, k, v, begin, scale, causal):
        import torch
        self.torch = torch
        self.q, self.k, self.v, self.begin, self.scale, self.causal = q, k, v, begin, scale, causal
        self.seen = begin + q.shape[1] if causal else k.shape[1]

    def key_blocks(self):
        for at in range(0, self.seen, KEY_BLOCK):
            yield at, min(at + KEY_BLOCK, self.seen)

    def scores(self, at, to):
        s = self.torch.baddbmm(self.torch.zeros(1), self.q, self.k[:, at:to].transpose(1, 2), beta=0, alpha=self.scale)
        if self.causal and to > self.begin:
            rows = self.torch.arange(self.begin, self.begin + self.q.shape[1])[:, None]
            s.masked_fill_(self.torch.arange(at, to)[None, :] > rows, float("-inf"))
        return s

    def normalise(self):
        """Pass 1: running maximum, total weight, weighted mean key."""
        torch = self.torch
        top = torch.full(self.q.shape[:2] + (1,), float("-inf"))
        total = torch.zeros_like(top)
        mean = torch.zeros_like(self.q)
        for at, to in self.key_blocks():
            s = self.scores(at, to)
            higher = torch.maximum(top, s.amax(-1, keepdim=True))
            p = torch.exp(s - higher)
            shrink = torch.exp(top - higher)
            total = total * shrink + p.sum(-1, keepdim=True)
            mean = mean * shrink + p @ self.k[:, at:to]
            top = higher
        self.lse = top + torch.log(total)
        self.kbar = mean / total

    def weights(self, at, to):
        return self.torch.exp(self.scores(at, to) - self.lse)

    def times_a(self, y, ridge):
        """A y without A: sum_j p_j ((k_j - kbar).y) k_j + ridge y."""
        shift = (y * self.kbar).sum(-1, keepdim=True)
        product = ridge * y
        for at, to in self.key_blocks():
            k = self.k[:, at:to]
            product += (self.weights(at, to) * (y @ k.transpose(1, 2) - shift)) @ k
        return product

    def solve(self, ridge, tolerance, cap):
        """Pass 2: conjugate gradients for all rows together, until every row has met the tolerance."""
        torch = self.torch
        right = self.kbar - self.q
        x = torch.zeros_like(right)
        r, p = right.clone(), right.clone()
        rr = (r * r).sum(-1)
        size = rr.sqrt()
        goal = tolerance * size
        met = torch.full(rr.shape, cap, dtype=torch.int32)
        met[rr.sqrt() <= goal] = 0
        ran = 0
        while ran < cap and bool((rr.sqrt() > goal).any()):
            ap = self.times_a(p, ridge)
            running = rr.sqrt() > goal
            alpha = torch.where(running, rr / (p * ap).sum(-1).clamp_min(1e-30), torch.zeros_like(rr))[..., None]
            x += alpha * p
            r -= alpha * ap
            fresh = (r * r).sum(-1)
            p = r + (fresh / rr.clamp_min(1e-30))[..., None] * p
            rr = fresh
            ran += 1
            met[running & (rr.sqrt() <= goal)] = ran
        return ran, met, rr.sqrt() / size.clamp_min(1e-30), x

    def output(self, x):
        """Pass 3: o = sum_j p_j (1 - (k_j - kbar).x) v_j."""
        shift = (x * self.kbar).sum(-1, keepdim=True)
        o = self.torch.zeros_like(self.q)
        for at, to in self.key_blocks():
            a = x @ self.k[:, at:to].transpose(1, 2) - shift
            o += (self.weights(at, to) * (1 - a)) @ self.v[:, at:to]
        return o
