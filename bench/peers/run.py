#!/usr/bin/env python3
"""Runs other implementations of attention on the benchmark's workloads, each in a process of its own, and writes a record."""

import argparse
import importlib
import itertools
import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import record
except ImportError as e:
    sys.exit(f"the peers need NumPy for their float64 checks ({e}); pip install numpy")

PEERS = {"flashlla-triton": "flashlla_triton", "torch-sdpa": "torch_sdpa", "torch-lla": "torch_lla"}


def numbers(kind):
    def parse(text):
        try:
            values = [kind(part) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 1024,4096")
        if any(not 0 < value < 1e9 for value in values):
            raise argparse.ArgumentTypeError(f"'{text}' holds a number that is not above 0 and below 1e9")
        return values
    return parse


def arguments(args):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--peer", default="all", help="comma-separated: all or of " + ", ".join(PEERS))
    parser.add_argument("--seq", type=numbers(int), default="1024,4096", help="lengths in tokens")
    parser.add_argument("--head-dim", type=numbers(int), default="64", help="head dims in elements")
    parser.add_argument("--batch", type=numbers(int), default="1", help="batch sizes")
    parser.add_argument("--heads", type=numbers(int), default="8", help="heads")
    parser.add_argument("--ridge", type=numbers(float), default="1", help="ridges relative to a query's total weight")
    parser.add_argument("--no-causal", action="store_true", help="let every query see every key")
    parser.add_argument("--tol", type=numbers(float), default="1e-3", help="relative residuals, for torch-lla")
    parser.add_argument("--max-iter", type=numbers(int), default="4,8,16,32", help="iteration caps, for flashlla-triton")
    parser.add_argument("-r", "--repetitions", type=int, default=5, help="timed runs of each workload, at least")
    parser.add_argument("--sample", type=float, default=2, help="go on with timed runs for this long, in seconds")
    parser.add_argument("--warm-up", type=float, default=3, help="longest wait for run times to settle, in seconds")
    parser.add_argument("--time-limit", type=float, default=300, help="seconds after which a workload is stopped")
    parser.add_argument("--record", metavar="FILE", help="write the record here as it goes (default: to standard output)")
    parser.add_argument("--name", default="peers", help="what comparisons call the record")
    parser.add_argument("--worker", metavar="PEER", help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    options.peers = list(PEERS) if options.peer == "all" else options.peer.split(",")
    for name in options.peers:
        if name not in PEERS:
            parser.error(f"there is no peer '{name}'; there are {', '.join(PEERS)}")
    if options.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    return options


def workloads(options):
    return [record.workload(b, h, s, d, ridge, not options.no_causal) for b, h, d, s, ridge in itertools.product(
        options.batch, options.heads, options.head_dim, options.seq, options.ridge)]


def worker(name, options):
    """The child's side: a line of JSON for the peer, then for every task the line 'start' and its measurement."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is not data
    peer = importlib.import_module(PEERS[name])
    reason = peer.absent()
    if reason:
        print(json.dumps({"absent": reason}), file=out)
        return
    import torch_device
    tasks = [(w, method) for w in workloads(options) for method in peer.methods(options)]
    print(json.dumps({"device": peer.facts(), "runtime": torch_device.runtime(), "tasks": tasks}), file=out)
    skip = int(os.environ.get("PEER_SKIP", "0"))
    for w, method in tasks[skip:]:
        try:
            row = peer.measure(w, method, options)
        except Exception as e:  # whatever a peer does costs its row
            row = record.missing(name, w, method, "failed", f"{type(e).__name__}: {e}")
        print(json.dumps({"row": row}, allow_nan=False), file=out)


def follow(name, args, options, handle):
    """The parent's side: runs the worker again after a loss, for the tasks after the one that was lost."""
    done = 0
    tasks = None
    while tasks is None or done < len(tasks):
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), *args, "--worker", name],
                                   stdout=subprocess.PIPE, env={**os.environ, "PEER_SKIP": str(done)})
        try:
            lines = Lines(process.stdout)
            hello = lines.next(max(120, options.time_limit))
            if not hello:
                process.kill()
                say(f"{name}: its process ended before it could say what it runs on (status {process.wait()}); skipped")
                return
            hello = json.loads(hello)
            if "absent" in hello:
                say(f"{name}: not here: {hello['absent']}; skipped")
                return
            tasks = hello["tasks"]
            handle(hello, None)
            while done < len(tasks):
                w, method = tasks[done]
                line = lines.next(options.time_limit)
                if line:
                    row = json.loads(line)["row"]
                elif lines.timed_out:
                    row = record.missing(name, w, method, "timeout", f"stopped after its time limit of {options.time_limit:g} s")
                else:
                    row = record.missing(name, w, method, "crashed", f"its process ended with status {process.wait()}")
                handle(hello, row)
                done += 1
                if not line:
                    break
        finally:
            process.kill()
            process.wait()


class Lines:
    """Lines of a pipe, with a time limit each; bytes are read as they come, so that none waits in a buffer unseen."""

    def __init__(self, pipe):
        self.pipe, self.rest, self.timed_out = pipe, b"", False

    def next(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.pipe], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                self.timed_out = True
                return None
            fresh = os.read(self.pipe.fileno(), 1 << 16)
            if not fresh:
                return None
            self.rest += fresh
        line, self.rest = self.rest.split(b"\n", 1)
        return line


def say(text):
    print(text, file=sys.stderr, flush=True)


def describe(row):
    w, method = row["workload"], row["method"]
    what = f"{row['device']}: S={w['key_length']} D={w['head_dim']} H={w['heads']} ridge {w['ridge']:g}, {method['data_type']}"
    if "max_iterations" in method and "tolerance" not in method:
        what += f", {method['max_iterations']} iterations"
    if row["status"] != "ok":
        return f"{what}: {row['status'].upper()}: {row['message']}"
    return f"{what}: {row['times']['median_ns'] / 1e6:.4g} ms, error {row['accuracy']['error']:.1e}"


def main(args):
    options = arguments(args)
    if options.worker:
        worker(options.worker, options)
        return 0
    created = record.now()
    conditions = record.conditions(["python3", "bench/peers/run.py", *args])
    devices, rows, runtimes = {}, [], []

    def so_far(complete):
        runtime = runtimes[0] if runtimes else f"Python {sys.version.split()[0]}"
        return record.record(options.name, created, complete, record.environment(runtime), conditions, list(devices.values()), rows)

    def handle(hello, row):
        devices[hello["device"]["name"]] = hello["device"]
        runtimes.append(hello["runtime"])
        if row:
            rows.append(row)
            say(describe(row))
            if options.record:
                record.write(options.record, so_far(False))

    for name in options.peers:
        follow(name, args, options, handle)
    if not rows:
        say("no peer is installed here; nothing was measured")
        return 1 if options.record else 0  # what asked for a record goes on with it
    if options.record:
        record.write(options.record, so_far(True))
    else:
        print(json.dumps(so_far(True), indent=2, allow_nan=False))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as e:
        sys.exit(f"cannot write the record: {e}")
