"""What the PyTorch peers share: whether it is there, what it runs on, and how a call is checked and timed."""

import functools
import os
import platform
import time

import record


def absent():
    """Why PyTorch cannot be used here, or None."""
    try:
        import torch  # noqa: F401
    except Exception as e:  # an import that fails for any reason is an absent peer
        return f"cannot import PyTorch ({type(e).__name__}: {e}); pip install torch"
    return None


def runtime():
    import torch
    return f"Python {platform.python_version()}, PyTorch {torch.__version__}"


def facts(name, backend, cuda):
    """A device of a record."""
    import torch
    if cuda:
        properties = torch.cuda.get_device_properties(0)
        state = record.nvml_state(0)
        return {**({"state": state} if state else {}), "name": name, "backend": backend, "type": "gpu", "hardware": properties.name, "vendor": "NVIDIA",
                "driver": f"{runtime()}, CUDA {torch.version.cuda}", "memory_bytes": properties.total_memory,
                "compute_units": properties.multi_processor_count}
    return {"name": name, "backend": backend, "type": "cpu", "hardware": record.cpu(), "vendor": "PyTorch",
            "driver": f"{runtime()}, {torch.get_num_threads()} threads", "compute_units": len(os.sched_getaffinity(0))}


@functools.cache
def power(index):
    """The GPU's meter, or None, and what it takes at rest, measured before the first run of the process."""
    meter = record.nvml_meter(index)
    return meter, record.idle_watts(meter) if meter else None


def measurement(name, w, method, qkv, run, flops, options, solve=None):
    """Runs, checks, and only then times run(), which returns o (B,H,S,D).

    flops: a number, or a function called after a run; solve: what the solver did in the last run.
    """
    import torch
    cuda = qkv[0].is_cuda
    meter, idle = (power(torch.cuda.current_device()) if cuda else (None, None))
    held = torch.cuda.memory_allocated() if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats()

    began = time.perf_counter_ns()
    output = run()
    if cuda:
        torch.cuda.synchronize()
    first = time.perf_counter_ns() - began

    bar = max(record.BARS[method["data_type"]], 3 * method.get("tolerance", 0))
    check = record.accuracy(w, *(x.float().cpu().numpy() for x in qkv), output.float().cpu().numpy(),
                            method["operator"], bar)
    base = {"device": name, "workload": w, "method": method, "accuracy": check}
    if not record.passed(check):
        error = f"{check['error']:.1e}" if "error" in check else "not finite"
        return {**base, "status": "wrong",
                "message": f"error {error} is above the bar of {bar:g}"}
    workspace = torch.cuda.max_memory_allocated() - held - output.nbytes if cuda else None
    del output

    clock = None
    call = run
    if cuda:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

        def call():
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()

        def clock():
            return int(start.elapsed_time(end) * 1e6)

    times, energy = record.timed(call, options.repetitions, options.warm_up, options.sample, clock, meter)
    if energy and idle:
        energy["idle_watts"] = idle
    times["first_run_ns"] = first
    width = qkv[0].element_size()
    result = {**base, "status": "ok", "times": times,
              "rates": record.rates(flops() if callable(flops) else flops, w, width, times),
              "memory": record.memory(w, width, workspace)}
    if energy:
        result["energy"] = energy
    if solve:
        result["solve"] = solve()
    return result
