"""PyTorch's scaled-dot-product attention: softmax attention, what LLA's time is measured against."""

import record
import torch_device

NAME = "torch-sdpa"


def absent():
    """Why it cannot run here, or None."""
    return torch_device.absent()


def facts():
    import torch
    return torch_device.facts(NAME, "torch", cuda=torch.cuda.is_available())


def methods(options):
    import torch
    types = ["bfloat16", "float32"] if torch.cuda.is_available() else ["float32"]
    return [{"operator": "softmax", "data_type": name} for name in types]


def measure(w, method, options):
    import torch
    where = "cuda" if torch.cuda.is_available() else "cpu"
    q, k, v = (torch.from_numpy(x).to(where, getattr(torch, method["data_type"])) for x in record.inputs(w))

    def run():
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=w["causal"], scale=w["scale"])

    return torch_device.measurement(NAME, w, method, (q, k, v), run, record.softmax_flops(w), options)
