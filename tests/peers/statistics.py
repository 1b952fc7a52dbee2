#!/usr/bin/env python3
"""Random tables with and without ties through the evaluate program and through SciPy and NumPy.

    statistics.py EVALUATE

The last line is "SciPy: N passed, N failed".
"""
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile

import numpy
from scipy import stats

PASSED = FAILED = 0


def check(name, got, want, tolerance=1e-10):
    global PASSED, FAILED
    missing = want is None or not numpy.isfinite(want)
    good = got is None if missing else got is not None and abs(got - want) <= tolerance * max(
        1e-300 if name.endswith(" p") else 1, abs(want))
    if good:
        PASSED += 1
    else:
        FAILED += 1
        print(f"FAIL {name}: {got}, should be {want}")


def evaluate(program, columns, *options):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "table.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*[map(repr, map(float, v)) for v in columns.values()]))
        run = subprocess.run([program, path, "--json", "--quiet", *options], text=True,
                             stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


def tau_a(x, y):
    x, y = numpy.asarray(x), numpy.asarray(y)
    signs = numpy.sign(x[:, None] - x) * numpy.sign(y[:, None] - y)
    return signs.sum() / (len(x) * (len(x) - 1))


def psi(table, axes, axis, x, y):
    groups = {}
    for i in range(len(x)):
        key = tuple(table[a][i] for a in axes if a != axis)
        groups.setdefault(key, []).append(i)
    taus = [tau_a([x[i] for i in g], [y[i] for i in g]) for g in groups.values()
            if len({table[axis][i] for i in g}) > 1]
    return numpy.mean(taus)


def information(table, given, x, y):
    """I / H(y) over ordered pairs without ties, as mutual information of a contingency table."""
    cells = {}
    for i, j in itertools.permutations(range(len(x)), 2):
        a, b = numpy.sign(x[i] - x[j]), numpy.sign(y[i] - y[j])
        if a and b:
            key = tuple((table[g][i], table[g][j]) for g in given)
            cells.setdefault(key, numpy.zeros((2, 2)))[int(a > 0), int(b > 0)] += 1
    total = mutual = entropy = 0
    for cell in cells.values():
        n = cell.sum()
        total += n
        entropy += n * stats.entropy(cell.sum(0), base=2)
        mutual += n * (stats.entropy(cell.sum(0), base=2) + stats.entropy(cell.sum(1), base=2) -
                       stats.entropy(cell.ravel(), base=2))
    return mutual / entropy if entropy / total > 1e-12 else numpy.nan


def kendall(program, generator):
    for n in (2, 3, 5, 8, 20, 33, 34, 60, 200, 1000):
        for levels in (0, 2, 5, 30):
            x = generator.random(n)
            y = x + generator.random(n)
            if levels:
                x, y = numpy.floor(levels * x), numpy.floor(levels * y)
            if len(set(y)) < 2 or len(set(x)) < 2:
                continue
            got = evaluate(program, {"x": x, "gap": y}, "--resamples", "0")["measures"]["x"]
            want = stats.kendalltau(x, y)
            name = f"n {n}, {levels} levels"
            check(f"{name}: tau_b", got["tau_b"], want[0])
            check(f"{name}: p", got["p"], want[1])
            check(f"{name}: tau_c", got["tau_c"], stats.kendalltau(x, y, variant="c")[0])
            check(f"{name}: tau_a", got["tau_a"], tau_a(x, y))
            line = stats.linregress(x, y)
            check(f"{name}: r2", got["r2"], line.rvalue ** 2)


def infinite(program, generator):
    """Infinite values rank first and last; R2 is undefined."""
    for n in (4, 9, 30, 200):
        for share in (0.2, 0.6):
            x = generator.random(n)
            y = x + generator.random(n)
            x[generator.random(n) < share / 2] = numpy.inf
            x[generator.random(n) < share / 2] = -numpy.inf
            x[0], x[1] = numpy.inf, -numpy.inf
            got = evaluate(program, {"x": x, "gap": y}, "--resamples", "0")["measures"]["x"]
            x = numpy.unique(x, return_inverse=True)[1]  # SciPy 1.10 computes inf - inf = NaN
            want = stats.kendalltau(x, y)
            name = f"n {n}, infinite"
            check(f"{name}: tau_b", got["tau_b"], want[0])
            check(f"{name}: p", got["p"], want[1])
            check(f"{name}: tau_c", got["tau_c"], stats.kendalltau(x, y, variant="c")[0])
            check(f"{name}: r2", got["r2"], None)


def grid(program, generator):
    axes = {"a": 3, "b": 2, "c": 4}
    rows = [r for r in itertools.product(*map(range, axes.values())) if generator.random() < 0.8]
    table = {name: [r[i] for r in rows] for i, name in enumerate(axes)}
    for levels in (0, 6, None):
        x = generator.random(len(rows)) + 0.2 * numpy.array(table["a"])
        y = x + generator.random(len(rows)) - 0.3 * numpy.array(table["b"])
        if levels is None:  # only signs are used, so 1e300 must give the same results as infinity
            got = [evaluate(program, {**table, "x": numpy.where(x > 0.9, top, x), "gap": y},
                            "--hyper", "a,b,c", "--resamples", "0")["measures"]["x"]
                   for top in (numpy.inf, 1e300)]
            for key in ("tau_a", "tau_b", "tau_c", "p", "Psi", "K", "sign_error_max"):
                check(f"grid: infinite {key}", got[0][key], got[1][key], 0)
            continue
        if levels:
            x, y = numpy.floor(levels * x), numpy.floor(levels * y)
        got = evaluate(program, {**table, "x": x, "gap": y}, "--hyper", "a,b,c", "--resamples",
                       "0")["measures"]["x"]
        want = {axis: psi(table, axes, axis, x, y) for axis in axes}
        for axis, value in want.items():
            check(f"grid: psi of {axis}", got["psi"][axis], value)
        check("grid: Psi", got["Psi"], numpy.mean(list(want.values())))
        values = [information(table, s, x, y) for k in range(3)
                  for s in itertools.combinations(axes, k)]
        for subset, value in zip(got["K_subsets"], values):
            check(f"grid: K given {subset['given']}", subset["value"], value)
        check("grid: K", got["K"], numpy.nanmin(values))


def fit(program, generator):
    features = {f"f{i}": generator.normal(size=80) for i in range(6)}
    gap = sum(features.values()) * 0.3 + generator.normal(size=80)
    got = evaluate(program, {**features, "gap": gap}, "--fit", "m=f*", "--resamples", "0")
    design = numpy.column_stack([numpy.ones(80), *features.values()])
    fitted = design @ numpy.linalg.lstsq(design, gap, rcond=None)[0]
    r2 = 1 - ((gap - fitted) ** 2).sum() / ((gap - gap.mean()) ** 2).sum()
    check("fit: r2", got["measures"]["m"]["r2"], r2)
    check("fit: adj_r2", got["measures"]["m"]["adj_r2"], 1 - (1 - r2) * 79 / (80 - 7))
    check("fit: tau_b", got["measures"]["m"]["tau_b"], stats.kendalltau(fitted, gap)[0])


def interval(program, generator):
    """Two bootstraps agree up to their noise: tenths of a standard error."""
    x = generator.random(200)
    y = x + generator.random(200)
    got = evaluate(program, {"x": x, "gap": y}, "--resamples", "10000")["measures"]["x"]
    want = stats.bootstrap((x, y), lambda a, b: stats.kendalltau(a, b)[0], paired=True,
                           vectorized=False, n_resamples=1500, method="percentile",
                           random_state=generator)
    for i in range(2):
        check("interval", got["tau_interval"][i], want.confidence_interval[i],
              0.25 * want.standard_error)


def main():
    generator = numpy.random.default_rng(20)
    for part in (kendall, infinite, grid, fit, interval):
        part(sys.argv[1], generator)
    print(f"SciPy: {PASSED} passed, {FAILED} failed")
    return FAILED > 0


if __name__ == "__main__":
    sys.exit(main())
