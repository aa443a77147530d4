"""The paper's authors' Triton kernels, through their public call: flashlla.lla_attention(q, k, v, ridge_lambda=...)."""

import record
import torch_device

NAME = "flashlla-triton"


def absent():
    """Why it cannot run here, or None."""
    reason = torch_device.absent()
    if reason:
        return reason
    import torch
    if not torch.cuda.is_available():
        return "it needs an NVIDIA GPU that PyTorch can use"
    try:
        from flashlla import lla_attention  # noqa: F401
    except Exception as e:  # an import that fails for any reason is an absent peer
        return f"cannot import its package ({type(e).__name__}: {e}); clone github.com/Yifei-Zuo/FlashLLA and pip install it"
    return None


def facts():
    return torch_device.facts(NAME, "triton", cuda=True)


def methods(options):
    """Its default of 32 iterations and the caps asked for; its tolerance is so small that the cap decides."""
    return [{"operator": "lla", "max_iterations": cap, "preconditioner": "none", "data_type": "bfloat16"}
            for cap in options.max_iter]


def measure(w, method, options):
    if not w["causal"]:
        return record.missing(NAME, w, method, "refused", "it is causal only")
    import torch
    from flashlla import lla_attention
    q, k, v = (torch.from_numpy(x).to("cuda", torch.bfloat16).flatten(0, 1) for x in record.inputs(w))
    cap = method["max_iterations"]
    dims = (w["batch"], w["heads"], w["key_length"], w["head_dim"])

    def run():
        with torch.no_grad():
            return lla_attention(q, k, v, ridge_lambda=w["ridge"], qk_scale=w["scale"], cg_max_iters=cap).view(dims)

    flops = record.lla_flops(w, cap * record.pairs(w))
    return torch_device.measurement(NAME, w, method, (q.view(dims), k.view(dims), v.view(dims)), run, flops, options)
