"""Benchmark records as bench/schema/record-v1.schema.json describes them, and the checks and timing that fill them."""

import ctypes
import json
import os
import platform
import resource
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

SEED = 20251001
QUERIES = 48
MACHINES = {"x86_64": "amd64"}  # as Java calls them, so that one machine has one name
BARS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 2e-2}


def workload(batch, heads, length, head_dim, ridge, causal):
    """The problem: what two measurements must share to be compared."""
    return {
        "mode": "fwd", "batch": batch, "heads": heads, "kv_heads": heads, "query_length": length,
        "key_length": length, "head_dim": head_dim, "value_dim": head_dim, "causal": causal,
        "ridge": float(ridge), "scale": head_dim ** -0.5, "inputs": "normal",
    }


def pairs(w):
    """(query, key) pairs that are computed, over all batches and heads."""
    s = w["key_length"]
    return w["batch"] * w["heads"] * (s * (s + 1) // 2 if w["causal"] else s * s)


def lla_flops(w, pair_iterations):
    """Counted work: (10 + 6 T) D per pair."""
    return (10.0 * pairs(w) + 6.0 * pair_iterations) * w["head_dim"]


def softmax_flops(w):
    """Counted work of softmax attention: 4 D per pair."""
    return 4.0 * pairs(w) * w["head_dim"]


def inputs(w):
    """Standard normal q, k, v (B,H,S,D), float32."""
    random = np.random.default_rng(SEED)
    dims = (w["batch"], w["heads"], w["key_length"], w["head_dim"])
    return tuple(random.standard_normal(dims, dtype=np.float32) for _ in range(3))


def sampled_rows(w):
    rows = w["batch"] * w["heads"] * w["query_length"]
    return np.unique(np.linspace(0, rows - 1, min(QUERIES, rows)).astype(np.int64))


def exact_row(w, q, k, v, row, operator):
    """One query's answer in float64, (D): the centred form with a direct solve, or softmax attention."""
    s = w["query_length"]
    head, i = divmod(int(row), s)
    b, h = divmod(head, w["heads"])
    seen = i + 1 if w["causal"] else s
    query = np.asarray(q[b, h, i], dtype=np.float64)
    keys = np.asarray(k[b, h, :seen], dtype=np.float64)
    values = np.asarray(v[b, h, :seen], dtype=np.float64)
    scores = w["scale"] * (keys @ query)
    p = np.exp(scores - scores.max())
    p /= p.sum()
    if operator == "softmax":
        return p @ values
    kbar = p @ keys
    z = keys - kbar
    a = (z * p[:, None]).T @ z + w["ridge"] * np.eye(w["head_dim"])
    x = np.linalg.solve(a, kbar - query)
    return (p * (1 - z @ x)) @ values


def accuracy(w, q, k, v, output, operator, bar):
    """||o - ref|| / ||ref|| on sampled queries; q, k, v as the peer got them (already rounded), arrays (B,H,S,D)."""
    rows = sampled_rows(w)
    flat = output.reshape(-1, output.shape[-1])
    want = np.stack([exact_row(w, q, k, v, row, operator) for row in rows])
    error = np.linalg.norm(np.asarray(flat[rows], dtype=np.float64) - want) / np.linalg.norm(want)
    check = {"bar": bar, "queries": len(rows)}
    if np.isfinite(error):
        check["error"] = float(error)
    return check


def passed(check):
    return check.get("error", np.inf) <= check["bar"]


def nvml_gpu(index):
    """NVIDIA's management library and a GPU of it, or None where there is none."""
    try:
        nvml, handle = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p()
        return None if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) else (nvml, handle)
    except (OSError, AttributeError):
        return None


def nvml_state(index):
    """How a GPU is set now, as a record's device has it, or None."""
    found = nvml_gpu(index)
    if not found:
        return None
    nvml, handle = found

    def number(name, *kind):
        value = ctypes.c_uint()
        return None if getattr(nvml, name)(handle, *kind, ctypes.byref(value)) else value.value

    try:
        driver, limit = ctypes.create_string_buffer(128), number("nvmlDeviceGetEnforcedPowerLimit")
        state = {"driver_version": None if nvml.nvmlSystemGetDriverVersion(driver, len(driver)) else driver.value.decode(),
                 "power_limit_watts": limit and limit / 1e3, "clock_mhz": number("nvmlDeviceGetClockInfo", 1),
                 "max_clock_mhz": number("nvmlDeviceGetMaxClockInfo", 1), "memory_clock_mhz": number("nvmlDeviceGetClockInfo", 2),
                 "temperature_c": number("nvmlDeviceGetTemperature", 0)}
        ecc, pending = ctypes.c_uint(), ctypes.c_uint()
        if not nvml.nvmlDeviceGetEccMode(handle, ctypes.byref(ecc), ctypes.byref(pending)):
            state["ecc"] = ecc.value == 1
    except AttributeError:  # an older library
        return None
    return {key: value for key, value in state.items() if value is not None} or None


def nvml_meter(index):
    """A function that returns the joules a GPU has taken so far, or None where NVIDIA's management library does not tell."""
    found = nvml_gpu(index)
    if not found:
        return None
    (nvml, handle), millijoules = found, ctypes.c_ulonglong()

    def joules():
        return None if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) else millijoules.value / 1e3

    return joules


def timed(run, repetitions, warm_up_s, sample_s, compute_clock=None, energy_meter=None):
    """Times of run(), and the energy of a run or None: first run, warm-up until three runs in a row lie within 5%, then samples.

    compute_clock: returns the device's own nanoseconds of the last run, or None; energy_meter: returns joules since some time in the past.
    """
    def once():
        began = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - began

    warm = []
    began = time.perf_counter()
    settled = False
    while not warm or (time.perf_counter() - began < warm_up_s and not settled):
        warm.append(once())
        last = warm[-3:]
        settled = len(last) == 3 and max(last) - min(last) <= 0.05 * min(last)
    wall, kernel = [], []
    began = time.perf_counter()
    while len(wall) < repetitions or (len(wall) < 50 and time.perf_counter() - began < sample_s):
        wall.append(once())
        if compute_clock:
            kernel.append(compute_clock())
    times = {"warm_up_runs": len(warm) + 1, "settled": settled, "wall_ns": wall, **summary(wall)}
    if kernel:
        times["kernel_ns"] = kernel
        times["kernel_median_ns"] = float(np.median(kernel))
    window = energy_window(energy_meter, 1, run) if energy_meter else None
    return times, {"joules_per_run": window[0] / window[1], "source": "nvml"} if window else None


def idle_watts(meter):
    """What the GPU takes while nothing runs, or None."""
    window = energy_window(meter, 0.5, lambda: time.sleep(0.002))
    return window and window[0] / window[2]


def energy_window(meter, seconds, run):
    """Joules, runs and seconds between two steps of a counter that are seconds apart; None if it does not move.

    NVIDIA's steps ten times a second and takes 3 ms to read: another thread reads it, so that no run waits.
    """
    steps, ends, stop = [], [time.perf_counter()], threading.Event()

    def read():
        before = meter()
        while not stop.wait(0.001):
            at, now = time.perf_counter(), meter()
            if now is not None and now != before:
                before = now
                steps.append((at, now))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while not steps or steps[-1][0] - steps[0][0] < seconds:
        if ends[-1] - ends[0] > 5 * seconds and len(ends) > 5:
            break
        run()
        ends.append(time.perf_counter())
    stop.set()
    reader.join()
    if len(steps) < 2 or steps[-1][0] - steps[0][0] < seconds:
        return None
    began, ended = np.interp([steps[0][0], steps[-1][0]], ends, np.arange(len(ends)))
    return (steps[-1][1] - steps[0][1], ended - began, steps[-1][0] - steps[0][0]) if ended > began else None


def summary(wall):
    return {"median_ns": float(np.median(wall)), "p20_ns": float(np.quantile(wall, 0.2)),
            "p80_ns": float(np.quantile(wall, 0.8))}


def rates(flops, w, element_bytes, times):
    """Work over the device's own time, or over wall time where it has no clock."""
    moved = 4.0 * w["batch"] * w["heads"] * w["key_length"] * w["head_dim"] * element_bytes
    compute = times.get("kernel_median_ns", times["median_ns"])
    return {"flops": float(flops), "bytes": moved, "tflops": flops / compute / 1e3, "gbps": moved / compute}


def memory(w, element_bytes, workspace=None):
    use = {"tensor_bytes": 4 * w["batch"] * w["heads"] * w["key_length"] * w["head_dim"] * element_bytes,
           "host_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if workspace is not None:
        use["workspace_bytes"] = max(0, int(workspace))
    return use


def missing(device, w, method, status, message):
    return {"device": device, "workload": w, "method": method, "status": status, "message": str(message)[:2000] or status}


def environment(runtime):
    facts = {"os": f"{platform.system()} {platform.release()} {MACHINES.get(platform.machine(), platform.machine())}", "cpu": cpu(),
             "cores": len(os.sched_getaffinity(0)), "runtime": runtime, "version": "peers"}
    try:
        facts["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        pass
    try:
        facts["commit"] = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        bundled = Path(__file__).parents[2] / "commit"  # what a bundle was packed from
        if bundled.is_file():
            facts["commit"] = bundled.read_text().strip()
    return facts


def cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def conditions(argv):
    """How the run was started, and what else the machine is doing."""
    facts = {"argv": argv, "load_before": os.getloadavg()[0]}
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if limit != "max":
            facts["cpu_limit"] = int(limit) / int(period)
    except (OSError, ValueError):
        pass
    return facts


def record(name, created, complete, facts, conditions, devices, measurements):
    ended = {"load_after": os.getloadavg()[0]} if complete else {}
    return {"schema_version": 1, "name": name, "created": created, "complete": complete, "environment": facts,
            "conditions": {**conditions, **ended}, "devices": devices, "measurements": measurements}


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(path, content):
    """Replaces the file at once: a reader sees the old record or the new one."""
    path = Path(path)
    part = path.with_name("." + path.name + ".part")
    part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    part.replace(path)
