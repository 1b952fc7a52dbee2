#!/usr/bin/env python3
"""Images per second of the networks of bench/networks.c in PyTorch.

Forward: model and cross-entropy of 128 images in eval mode under no_grad. Step: one SGD step with
momentum and weight decay. Both memory formats, 1 and 2 threads. Two warm-up calls, then single
calls until at least --reps calls and --seconds have passed; the best counts. One process per row,
so that peak memory is that of the row. Prints CSV:
peer,case,threads,layout,forward_ips,step_ips,memory_mb
"""
import argparse
import os
import resource
import sys
import time

import torch
from torch.nn import functional as F

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
import models  # noqa: E402

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def best_seconds(call, options):
    call()
    call()
    best, total, count = float("inf"), 0.0, 0
    while count < options.reps or total < options.seconds:
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        best, total, count = min(best, took), total + took, count + 1
    return best


def measure(case, threads, layout, options):
    torch.set_num_threads(threads)
    model = models.make(case).to(memory_format=LAYOUTS[layout])
    x = torch.randn(options.batch, 3, 32, 32).to(memory_format=LAYOUTS[layout])
    y = torch.randint(0, 10, (options.batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def forward():
        with torch.no_grad():
            return F.cross_entropy(model(x), y).item()

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    model.eval()
    forward_seconds = best_seconds(forward, options)
    model.train()
    step_seconds = best_seconds(step, options)
    # Linux counts in KB, macOS in bytes
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"pytorch,{case},{threads},{layout},{options.batch / forward_seconds:.2f},"
          f"{options.batch / step_seconds:.2f},{memory:.1f}", flush=True)


def in_child(*arguments):
    """Runs one row in a child; this process never computes, so that forking it is safe."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            measure(*arguments)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=list(models.CASES))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--layouts", default="nchw,nhwc")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="one small case, few calls")
    parser.add_argument("--no-header", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.reps, options.seconds = 2, 0.0
        options.case = options.case or ["cnn-8"]
    if not options.no_header:
        print("peer,case,threads,layout,forward_ips,step_ips,memory_mb", flush=True)
    fine = True
    for threads in map(int, options.threads.split(",")):
        for case in options.case or models.CASES:
            for layout in options.layouts.split(","):
                fine = in_child(case, threads, layout, options) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
