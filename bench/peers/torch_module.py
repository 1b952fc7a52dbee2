#!/usr/bin/env python3
"""Searches for the prunability of PyTorch models: examples/prunability.py and the plain loop.

    python3 bench/peers/torch_module.py [--samples N] [--threads N] [--grid N] [--rounds N]

The plain loop prunes a copy in torch and evaluates all samples at kept fractions 0, 1/grid, ..., 1;
`to answer` is its time in seconds until the loss is within 10 %. Both must find the same fraction.
`outside` is the search's time outside the forward passes, relative to theirs: losses in double
precision, pruning, calls to and from C. The best of alternating rounds counts.
"""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "examples"), os.path.join(ROOT, "examples", "pytorch"),
                os.path.join(ROOT, "tests", "peers")]
import torch  # noqa: E402

import from_pytorch  # noqa: E402
import prunability as P  # noqa: E402
import torch_zoo as zoo  # noqa: E402


class Timed(torch.nn.Module):
    """Adds up the seconds of the forward passes."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seconds = inner, 0.0

    def forward(self, *arguments):
        begin = time.perf_counter()
        output = self.inner(*arguments)
        self.seconds += time.perf_counter() - begin
        return output


def networks(x, y):
    """(name, trained model, inputs, labels)"""
    for name, kind in (("MobileNet", zoo.MobileNet), ("LSTM", zoo.Recurrent), ("ViT", zoo.ViT)):
        torch.manual_seed(1)
        yield name, zoo.train(kind(), x, y, 300), x, y
    torch.manual_seed(1)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    yield "CNN k=8", zoo.train(from_pytorch.CNN(8), padded, y, 200), padded, y
    torch.manual_seed(4)
    yield "perceptron", zoo.train(zoo.perceptron(), x, y, 300), x, y


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grid", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, y = zoo.load_images(os.path.join(ROOT, "examples", "data"), options.samples)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.samples} samples, grid "
          f"{options.grid}")
    print(f"{'network':12}{'weights':>9}{'kept':>7}{'passes':>8}{'search s':>10}{'loop s':>9}"
          f"{'ratio':>8}{'to answer':>11}{'ratio':>8}{'outside':>9}")
    for name, model, inputs, labels in networks(x, y):
        model.eval()
        timed = Timed(model)
        weights = [p.name for p in P._trained(model, None) if p.kind == "weight"]
        search = loop = outside = first = float("inf")
        for _ in range(options.rounds):
            timed.seconds = 0.0
            begin = time.perf_counter()
            found = P.prunability(timed, (inputs, labels), grid=options.grid, progress=False)
            seconds = time.perf_counter() - begin
            search, outside = min(search, seconds), min(outside, seconds / timed.seconds - 1)
            begin = time.perf_counter()
            at = []
            wanted, _, _ = zoo.brute_force(model, inputs, labels, weights, options.grid,
                                           reached=lambda: at.append(time.perf_counter()))
            loop = min(loop, time.perf_counter() - begin)
            first = min(first, at[0] - begin)
        if round(found.kept_fraction * options.grid) != wanted:
            sys.exit(f"{name}: found {found.kept_fraction}, the loop {wanted / options.grid}")
        print(f"{name:12}{found.prunable:9d}{found.kept_fraction:7.2f}{found.passes:8.1f}"
              f"{search:10.2f}{loop:9.2f}{search / loop:8.2f}{first:11.2f}{search / first:8.2f}"
              f"{100 * outside:8.1f}%", flush=True)


if __name__ == "__main__":
    main()
