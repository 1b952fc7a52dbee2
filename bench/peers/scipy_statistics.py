#!/usr/bin/env python3
"""Kendall's tau of a million pairs: SciPy beside this library, on one thread.

    scipy_statistics.py BENCH_STATISTICS [--pairs N] [--reps N]

BENCH_STATISTICS is the program of bench/statistics.c. Takes the best of --reps calls after one to
warm up. Both use data of the same distribution: uniform x, and y = 0.3 x + uniform; in the second
row y has steps of 1/100.
"""
import argparse
import csv
import subprocess
import sys
import tempfile
import time

try:
    import numpy
    import scipy
    from scipy.stats import kendalltau
except ImportError:
    sys.exit("SciPy is missing: apt-get install python3-scipy, and run with /usr/bin/python3")


def scipy_seconds(x, y, reps):
    best = float("inf")
    for _ in range(reps + 1):
        start = time.perf_counter()
        kendalltau(x, y)
        best = min(best, time.perf_counter() - start)
    return best


def library_seconds(program, pairs, reps):
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        subprocess.run([program, "--pairs", str(pairs), "--reps", str(reps), "--threads", "1",
                        "--seconds", "0", "--csv", file.name], check=True,
                       stdout=subprocess.DEVNULL)
        with open(file.name, newline="", encoding="utf-8") as rows:
            return {row["what"]: float(row["best"]) for row in csv.DictReader(rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--pairs", type=int, default=1000000)
    parser.add_argument("--reps", type=int, default=3)
    options = parser.parse_args()
    generator = numpy.random.default_rng(1)
    x = generator.random(options.pairs)
    y = 0.3 * x + generator.random(options.pairs)
    own = library_seconds(options.program, options.pairs, options.reps)
    print(f"{options.pairs} pairs, one thread, best of {options.reps}; SciPy {scipy.__version__}, "
          f"NumPy {numpy.__version__}")
    for name, target in (("Kendall", y), ("Kendall with ties", numpy.floor(100 * y))):
        peer = scipy_seconds(x, target, options.reps)
        print(f"{name:20} {own[name]:.4f} s   SciPy {peer:.4f} s   {peer / own[name]:.2f} times "
              "as long")


if __name__ == "__main__":
    main()
