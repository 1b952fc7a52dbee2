#!/usr/bin/env python3
"""The main job as one would write it in PyTorch today: train a CNN on the 4,000 images of
examples/data, then look for the smallest fraction of its weights that keeps the training loss
within 10 %, by evaluating every hundredth. Also the time of a gradient and of a Hessian-vector
product (double backward) over the training set. Prints one CSV line with a header.
"""
import argparse
import os
import struct
import sys
import time

import torch
from torch.nn import functional as F

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
import models  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/data")


def read(path, magic):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    found, count = struct.unpack(">II", data[:8])
    if found != magic:
        sys.exit(f"{path}: not an IDX file of kind {magic}")
    return data, count


def load(directory, limit):
    """Images padded to 32x32 with zeros, then standardised as a whole set; labels."""
    images, count = read(f"{directory}/fashion-mnist-train-images.idx3-ubyte", 2051)
    labels, _ = read(f"{directory}/fashion-mnist-train-labels.idx1-ubyte", 2049)
    x = torch.frombuffer(images, dtype=torch.uint8, offset=16).view(count, 1, 28, 28).float() / 255
    y = torch.frombuffer(labels, dtype=torch.uint8, offset=8).long()
    x, y = F.pad(x, (2, 2, 2, 2))[:limit or count], y[:limit or count]
    return (x - x.mean()) / x.std(unbiased=False), y


def mean_loss(model, x, y, batch):
    with torch.no_grad():
        total = sum(F.cross_entropy(model(x[i:i + batch]), y[i:i + batch], reduction="sum").item()
                    for i in range(0, len(x), batch))
    return total / len(x)


def train(model, x, y, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in range(0, len(x), 128):
            index = order[i:i + 128]
            optimizer.zero_grad()
            F.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
    model.eval()


def search(model, x, y, options, loss):
    """Evaluates the loss at all grid points; returns the smallest feasible fraction."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    saved = [w.data.clone() for w in weights]
    flat = torch.cat([w.flatten() for w in saved])
    order = torch.argsort(flat.abs(), descending=True, stable=True)
    answer = 1.0
    for i in range(options.grid, -1, -1):
        mask = torch.zeros_like(flat)
        mask[order[:(2 * i * len(flat) + options.grid) // (2 * options.grid)]] = 1
        pruned, at = flat * mask, 0
        for w in weights:
            w.data = pruned[at:at + w.numel()].view_as(w)
            at += w.numel()
        if mean_loss(model, x, y, options.batch) <= 1.1 * loss:
            answer = i / options.grid
    for w, values in zip(weights, saved):
        w.data = values
    return answer


def derivative_seconds(model, x, y, batch, second):
    """Time of a gradient or Hessian-vector product of conv and linear weights over all images."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    vector = [torch.randn_like(w) for w in weights]
    start = time.perf_counter()
    for i in range(0, len(x), batch):
        loss = F.cross_entropy(model(x[i:i + batch]), y[i:i + batch], reduction="sum")
        gradient = torch.autograd.grad(loss, weights, create_graph=second)
        if second:
            torch.autograd.grad(sum((g * v).sum() for g, v in zip(gradient, vector)), weights)
    return time.perf_counter() - start


def measure(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    x, y = load(options.data, options.images)
    model = models.cnn(options.width, channels=1)
    start = time.perf_counter()
    train(model, x, y, options.epochs)
    train_seconds = time.perf_counter() - start
    mean_loss(model, x, y, options.batch)
    start = time.perf_counter()
    loss = mean_loss(model, x, y, options.batch)
    pass_seconds = time.perf_counter() - start
    start = time.perf_counter()
    answer = search(model, x, y, options, loss)
    search_seconds = time.perf_counter() - start
    gradient = derivative_seconds(model, x, y, options.batch, False)
    product = derivative_seconds(model, x, y, options.batch, True)
    print("peer,search,width,images,epochs,seed,grid,threads,beta,train_seconds,pass_seconds,loss,"
          "search_seconds,passes,kept_fraction,gradient_seconds,hessian_vector_seconds")
    print(f"pytorch,magnitude,{options.width},{len(x)},{options.epochs},{options.seed},"
          f"{options.grid},{options.threads},0.1,{train_seconds:.4f},{pass_seconds:.4f},{loss:.6f},"
          f"{search_seconds:.4f},{options.grid + 1},{answer},{gradient:.4f},{product:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=0, help="only the first ones; 0: all")
    parser.add_argument("--grid", type=int, default=100)
    parser.add_argument("--batch", type=int, default=250, help="of evaluation")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.width, options.epochs, options.images, options.grid = 4, 1, 512, 10
    measure(options)


if __name__ == "__main__":
    main()
