#!/usr/bin/env python3
"""Time of a gradient and of a Hessian-vector product (double backward) of the networks of
bench/hessian.c in PyTorch, in eval mode over the images of examples/data: over all parameters, and
over the weights of convolutions and linear layers alone. Prints CSV:
peer,family,width,images,weights,threads,parameters,gradient_seconds,hessian_vector_seconds
"""
import argparse
import os
import sys
import time

import torch
from torch.nn import functional as F

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
import models  # noqa: E402
from torch_search import DATA, load  # noqa: E402

FAMILIES = {"cnn": models.cnn, "nin": models.nin, "resnet18": models.resnet18}


def pass_seconds(model, tensors, x, y, batch, second):
    """Time of one gradient of the summed loss, or of one Hessian-vector product."""
    vector = [torch.randn_like(t) for t in tensors]
    total = [torch.zeros_like(t) for t in tensors]
    start = time.perf_counter()
    for i in range(0, len(x), batch):
        loss = F.cross_entropy(model(x[i:i + batch]), y[i:i + batch], reduction="sum")
        parts = torch.autograd.grad(loss, tensors, create_graph=second)
        if second:
            parts = torch.autograd.grad(sum((g * v).sum() for g, v in zip(parts, vector)), tensors)
        for t, part in zip(total, parts):
            t += part
    return time.perf_counter() - start


def measure(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    x, y = load(options.data, options.images)
    model = FAMILIES[options.family](options.width, channels=1).eval()
    weights = [p for p in model.parameters() if p.dim() > 1]
    for name, tensors in (("all", list(model.parameters())), ("weights", weights)):
        best = [min(pass_seconds(model, tensors, x, y, options.batch, second)
                    for _ in range(options.reps)) for second in (False, True)]
        print(f"pytorch,{options.family},{options.width},{len(x)},"
              f"{sum(w.numel() for w in weights)},{options.threads},{name},{best[0]:.4f},"
              f"{best[1]:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, default="cnn")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--images", type=int, default=0, help="only the first ones; 0: all")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--reps", type=int, default=1)
    parser.add_argument("--data", default=DATA)
    options = parser.parse_args()
    print("peer,family,width,images,weights,threads,parameters,gradient_seconds,"
          "hessian_vector_seconds")
    measure(options)


if __name__ == "__main__":
    main()
