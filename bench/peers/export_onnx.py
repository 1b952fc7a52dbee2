#!/usr/bin/env python3
"""Writes the networks of bench/networks.c as ONNX files for ort_networks.js: DIR/CASE.onnx."""
import argparse
import os
import sys

import torch

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
import models  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--case", action="append", choices=list(models.CASES))
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    os.makedirs(options.directory, exist_ok=True)
    for case in options.case or models.CASES:
        path = os.path.join(options.directory, case + ".onnx")
        x = torch.randn(options.batch, 3, 32, 32)
        # under a temporary name first: an interrupted export must not look finished
        torch.onnx.export(models.make(case).eval(), x, path + ".tmp", input_names=["x"],
                          output_names=["logits"], opset_version=13)
        os.replace(path + ".tmp", path)
        print(path)


if __name__ == "__main__":
    main()
