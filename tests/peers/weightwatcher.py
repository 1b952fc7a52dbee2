#!/usr/bin/env python3
"""Spectra of the layers of a ResNet18 through the library and through WeightWatcher's own code.

    weightwatcher.py LIBRARY [FOLDER]

FOLDER holds the package weightwatcher, a clone of CalculatedContent/WeightWatcher, if it is not
installed. Packages that it imports and does not need here (powerlaw, sklearn, ...) may be missing.
Prints a table of the largest differences. The last line is "weightwatcher: N passed, N failed".
"""
import ctypes
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from unittest import mock

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
sys.path[:1] = [EXAMPLES, os.path.join(EXAMPLES, "pytorch")]  # hides this weightwatcher.py
import from_pytorch  # noqa: E402
import prunability  # noqa: E402

UNUSED = "powerlaw", "sklearn", "tqdm", "safetensors", "matplotlib"
# Our and their names. Their entropy adds 1e-10 to each fraction: "padded entropy" does the same.
COLUMNS = {"alpha": "alpha", "sigma": "sigma", "least": "xmin", "distance": "D",
           "alpha_weighted": "alpha_weighted", "log_alpha_norm": "log_alpha_norm",
           "log_norm": "log_norm", "log_spectral_norm": "log_spectral_norm",
           "stable_rank": "stable_rank", "spectral_entropy": "entropy", "padded entropy": "entropy"}
MEASURES = [name for name in COLUMNS if name not in ("sigma", "least", "distance", "padded entropy")]
# For halving, WeightWatcher multiplies the weights by sqrt(1/2) in float32.
BOUNDS = {0: 1e-9, 1: 1e-6}
PADDING = 5e-7  # possible effect of 1e-10 in each of 1,152 fractions


class Unused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports missing packages as modules in which every name is a mock."""

    def find_spec(self, name, path=None, target=None):
        missing = name.split(".")[0] in UNUSED
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if missing else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: mock.MagicMock() if name[:2] != "__" else None
        return module

    def exec_module(self, module):
        module.__path__ = []


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("name", ctypes.c_char_p),
                ("shape", ctypes.c_int64 * 4), ("rank", ctypes.c_int32), ("flags", ctypes.c_uint32)]


class PowerLaw(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("alpha", "sigma", "least", "distance")] \
        + [("tail", ctypes.c_int64)]


class Spectrum(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int64), ("sum", ctypes.c_double), ("largest", ctypes.c_double),
                ("law", PowerLaw)] + [(name, ctypes.c_double) for name in (
                    "log_alpha_norm", "stable_rank", "spectral_entropy", "soft_rank")]


def padded_entropy(library, tensor, count):
    """The entropy of the eigenvalues with their 1e-10 added to each share."""
    values, number = numpy.empty(count), ctypes.c_int64()
    if library.prun_weight_eigenvalues(None, ctypes.byref(tensor), 0,
                                       ctypes.c_void_p(values.ctypes.data),
                                       ctypes.byref(number)) != 0:
        sys.exit("error: prun_weight_eigenvalues failed")
    longer = max(tensor.shape[0], tensor.shape[1])
    rank = (numpy.sqrt(values / values[-1]) > longer * numpy.finfo(float).eps).sum()
    share = values / values.sum() + 1e-10
    return -(share * numpy.log(share)).sum() / numpy.log(rank)


def library_row(library, weight, halved):
    """The library's figures for an array of two or four dimensions, by name."""
    tensor = Tensor(weight.ctypes.data, b"weight", (ctypes.c_int64 * 4)(*weight.shape),
                    weight.ndim, 1)
    s = Spectrum()
    if library.prun_weight_spectrum(None, ctypes.byref(tensor), 0, halved, ctypes.byref(s)) != 0:
        sys.exit("error: prun_weight_spectrum failed")
    row = {name: getattr(s.law, name) for name in ("alpha", "sigma", "least", "distance")}
    row.update({name: getattr(s, name) for name in ("log_alpha_norm", "stable_rank",
                                                    "spectral_entropy")})
    row.update(log_norm=numpy.log10(s.sum), log_spectral_norm=numpy.log10(s.largest),
               alpha_weighted=s.law.alpha * numpy.log10(s.largest))
    row["padded entropy"] = padded_entropy(library, tensor, s.count)
    return row


def networks():
    """(name, module): as initialised, trained for some steps, and with heavy tails."""
    torch.manual_seed(4)
    net = from_pytorch.ResNet18(16)
    yield "initial", net
    images, labels = from_pytorch.load_data(os.path.join(EXAMPLES, "data"))[0]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for step in range(40):
        batch = slice(64 * step, 64 * (step + 1))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
        optimizer.step()
    yield "trained", net
    with torch.no_grad():
        for weight in net.parameters():
            weight *= torch.randn(weight.shape).abs() ** 3
    yield "heavy tails", net


def compare(library, watcher, name, net, halved, worst):
    """(passed, failed) of the layers with 50 eigenvalues or more; fills `worst` by column.
    Differences are relative, those of logarithms below 1 absolute."""
    details = watcher.WeightWatcher(model=net).analyze(min_evals=50, svd_method="accurate",
                                                       conv2d_norm=bool(halved), savefig=False)
    layers = dict(net.named_modules())
    passed = failed = 0
    for _, theirs in details.iterrows():
        weight = layers[theirs["longname"]].weight.detach().numpy()
        row = library_row(library, numpy.ascontiguousarray(weight), halved)
        for column, their_column in COLUMNS.items():
            a, b = row[column], float(theirs[their_column])
            logarithm = "log" in column or column == "alpha_weighted"
            difference = abs(a - b) / max(abs(b), 1.0 if logarithm else 0.0)
            good = difference <= (PADDING if column == "spectral_entropy" else BOUNDS[halved])
            passed, failed = passed + good, failed + (not good)
            if difference >= worst.get((halved, column), (-1,))[0]:
                worst[halved, column] = difference, a, b, f"{name}, {theirs['longname']}"
            if not good:
                print(f"FAIL {name}, {theirs['longname']}: {column} {a!r}, theirs {b!r}")
    means = prunability.measure(net, (torch.zeros(2, 1, 32, 32), torch.tensor([0, 1])),
                                only=MEASURES, halve_convolutions=halved, progress=False)
    for measure in MEASURES:
        a, b = means[measure].value, details[COLUMNS[measure]].mean()
        good = abs(a - b) <= max(PADDING, BOUNDS[halved]) * max(abs(b), 1)
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(f"FAIL {name}: mean of {measure} {a!r}, theirs {b!r}")
    print(f"{name}, {'halved' if halved else 'as they are'}: {len(details)} layers, mean alpha "
          f"{details['alpha'].mean():.6g}")
    return passed, failed


def main():
    library = ctypes.CDLL(sys.argv[1])
    prunability.load_library(sys.argv[1])
    sys.path[:0] = sys.argv[2:3]
    sys.meta_path.append(Unused())  # last, so that it only replaces missing packages
    try:
        watcher = importlib.import_module("weightwatcher")
        main_module = importlib.import_module("weightwatcher.weightwatcher")
    except ImportError as error:
        print(f"skip: WeightWatcher is not here ({error}): pip install weightwatcher, or name its "
              "folder")
        print("weightwatcher: 0 passed, 0 failed, 1 skipped")
        return 0
    worst, passed, failed = {}, 0, 0
    for name, net in networks():
        for halved in 0, 1:
            more, less = compare(library, main_module, name, net.eval(), halved, worst)
            passed, failed = passed + more, failed + less
    print(f"WeightWatcher {watcher.__version__}, torch {torch.__version__}\n")
    print("| halved | measure | ours | theirs | largest difference | where |\n"
          "|---|---|---|---|---|---|")
    for (halved, column), (difference, ours, theirs, where) in worst.items():
        print(f"| {'yes' if halved else 'no'} | {column} | {ours:.12g} | {theirs:.12g} | "
              f"{difference:.2g} | {where} |")
    print(f"\nweightwatcher: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
