#!/usr/bin/env python3
"""Runs our networks and search beside PyTorch and ONNX Runtime and prints the ratios.

Everything runs sequentially, in rounds. In each round, every case is measured by all of them before
the next case, so that a slow phase of the machine affects all. The best of each counts, and for a
peer the best of its memory layouts. Needs only Python's standard library; peers that are not
installed are reported and left out.

    make bench-peers
    make bench-peers PEERS='--quick'                       (one small case: does it work?)
    make bench-peers PEERS='--save --ort DIR/node_modules'
"""
import argparse
import csv
import datetime
import functools
import math
import os
import platform
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join(ROOT, "bench", "results")

# Goals for the ratios of images per second: forward to ONNX Runtime, SGD step to PyTorch. They were
# set on Zen 5 (AMD's family 26) with one thread; on other processors they are printed, not judged.
GOALS = {
    "cnn-8": (2.2, 3.0),
    "cnn-16": (2.4, 3.0),
    "cnn-64": (2.8, 4.0),
    "nin-48": (1.15, 2.4),
    "nin-192": (1.2, 1.6),
    "resnet18-8": (2.4, 2.2),
    "resnet18-64": (2.4, 2.8),
}
SEARCH_GOAL = 100.0

OURS, TORCH, ORT = "prunability.h", "pytorch", "onnxruntime"


def say(text):
    print(text, file=sys.stderr, flush=True)


def output_of(command, **more):
    """Standard output, or None after a message when the command fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **more)
    if done.returncode == 0:
        return done.stdout
    say(f"failed: {' '.join(command)}\n{done.stderr[-2000:]}")
    return None


def works(command, **more):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              **more).returncode == 0
    except OSError:
        return False


def is_older(path, source):
    return not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source)


def find_python():
    """An interpreter that has PyTorch; the distribution's is often not the first in PATH."""
    for python in (sys.executable, "python3", "/usr/bin/python3"):
        if works([python, "-c", "import torch"]):
            return python
    say("PyTorch is missing: apt-get install python3-torch (or pip install torch)")
    return None


def node_environment(modules):
    environment = dict(os.environ)
    paths = [modules, os.path.join(HERE, "node_modules"), os.path.join(ROOT, "node_modules")]
    paths += environment.get("NODE_PATH", "").split(os.pathsep)
    environment["NODE_PATH"] = os.pathsep.join(os.path.abspath(p) for p in paths if p)
    return environment


def find_ort(modules):
    environment = node_environment(modules)
    if works(["node", "-e", "require('onnxruntime-node')"], env=environment):
        return environment
    say("ONNX Runtime is missing: npm install onnxruntime-node, here or anywhere with "
        "--ort DIR/node_modules (--ignore-scripts spares the download of GPU libraries)")
    return None


class Networks:
    """Commands that measure one case with a number of threads, and their best rows."""

    def __init__(self, options, python, ort):
        self.options, self.python, self.ort = options, python, ort
        self.best = {}

    def sampling(self):
        if self.options.quick:
            return ["--reps", "2", "--seconds", "0"]
        return ["--reps", str(self.options.reps), "--seconds", str(self.options.seconds)]

    def add(self, text):
        for row in csv.DictReader((text or "").splitlines()):
            key = (row["peer"], row["case"], int(row["threads"]))
            best = self.best.setdefault(key, {})
            for name in ("forward_ips", "step_ips"):
                if row[name]:
                    best[name] = max(best.get(name, 0.0), float(row[name]))
            # conservative: our worst round, a peer's best layout
            if row["memory_mb"]:
                pick, start = (max, 0.0) if row["peer"] == OURS else (min, math.inf)
                best["memory_mb"] = pick(best.get("memory_mb", start), float(row["memory_mb"]))

    def ours(self, case, threads):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "rows.csv")
            if output_of([self.options.networks, "--filter", "=" + case, "--threads", threads,
                          "--csv", path] + self.sampling()) is None:
                sys.exit(1)
            with open(path, encoding="utf-8") as file:
                self.add(file.read())

    def torch(self, case, threads):
        if self.python:
            self.add(output_of([self.python, os.path.join(HERE, "torch_networks.py"), "--case",
                                case, "--threads", threads] + self.sampling()))

    def onnx(self, case, threads):
        path = os.path.join(self.options.onnx, case + ".onnx")
        if not self.ort:
            return
        if is_older(path, os.path.join(HERE, "models.py")):
            if not self.python:
                say(f"{path} is missing: exporting it needs PyTorch")
                return
            if output_of([self.python, os.path.join(HERE, "export_onnx.py"), self.options.onnx,
                          "--case", case]) is None:
                return
        self.add(output_of(["node", os.path.join(HERE, "ort_networks.js"), self.options.onnx,
                            "--case", case, "--threads", threads] + self.sampling(),
                           env=self.ort))

    def run(self):
        rounds = 1 if self.options.quick else self.options.rounds
        for number in range(rounds):
            for threads in self.options.threads.split(","):
                for case in self.options.case:
                    say(f"round {number + 1} of {rounds}: {case}, {threads} threads")
                    self.ours(case, threads)
                    self.torch(case, threads)
                    self.onnx(case, threads)


def ratio(mine, other):
    return mine / other if mine and other else None


def cell(value, form):
    return "-" if value is None else form.format(value)


@functools.lru_cache(maxsize=None)
def cpu_field(name):
    """A field of the first processor in /proc/cpuinfo, or None."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith(name):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def judged():
    """Whether this is the kind of processor that the goals were set on."""
    return cpu_field("vendor_id") == "AuthenticAMD" and cpu_field("cpu family") == "26"


def verdict(value, goal):
    if value is None:
        return "-"
    return f"{value:.2f} (goal {goal:g}{', MISSED' if value < goal and judged() else ''})"


def network_rows(networks):
    """One dictionary per case and number of threads."""
    rows = []
    for threads in map(int, networks.options.threads.split(",")):
        for case in networks.options.case:
            mine, torch, ort = (networks.best.get((peer, case, threads), {})
                                for peer in (OURS, TORCH, ORT))
            forward, step = mine.get("forward_ips"), mine.get("step_ips")
            rows.append({
                "case": case, "threads": threads,
                "forward_ips": forward, "step_ips": step, "memory_mb": mine.get("memory_mb"),
                "torch_forward_ips": torch.get("forward_ips"),
                "torch_step_ips": torch.get("step_ips"),
                "torch_memory_mb": torch.get("memory_mb"),
                "ort_forward_ips": ort.get("forward_ips"),
                "forward_over_torch": ratio(forward, torch.get("forward_ips")),
                "forward_over_ort": ratio(forward, ort.get("forward_ips")),
                "step_over_torch": ratio(step, torch.get("step_ips")),
                "forward_goal": GOALS[case][0], "step_goal": GOALS[case][1],
            })
    return rows


def table(header, rows):
    """Aligned text that is also a markdown table."""
    cells = [header] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def network_table(rows):
    header = ["case", "threads", "forward img/s", "PyTorch", "ONNX Runtime", "x PyTorch",
              "x ONNX Runtime", "step img/s", "PyTorch", "x PyTorch", "MB", "PyTorch"]
    lines = []
    for r in rows:
        lines.append([
            r["case"], str(r["threads"]), cell(r["forward_ips"], "{:.1f}"),
            cell(r["torch_forward_ips"], "{:.1f}"), cell(r["ort_forward_ips"], "{:.1f}"),
            cell(r["forward_over_torch"], "{:.2f}"),
            verdict(r["forward_over_ort"], r["forward_goal"]), cell(r["step_ips"], "{:.1f}"),
            cell(r["torch_step_ips"], "{:.1f}"), verdict(r["step_over_torch"], r["step_goal"]),
            cell(r["memory_mb"], "{:.0f}"), cell(r["torch_memory_mb"], "{:.0f}")])
    return table(header, lines)


def run_search(options, python):
    """Rows of the search's CSV files: ours by magnitude for beta 0.1, and PyTorch's."""
    small = ["--width", "4", "--epochs", "1", "--images", "512", "--grid", "10"]
    more = small if options.quick else []
    threads = ["--threads", str(max(map(int, options.threads.split(","))))]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "search.csv")
        say("prunability search: ours")
        if output_of([options.search, "--quiet", "--csv", path] + threads + more) is None:
            sys.exit(1)
        with open(path, encoding="utf-8") as file:
            mine = next(csv.DictReader(file))
    if not python:
        return mine, None
    say("prunability search: the naive loop in PyTorch (minutes)")
    text = output_of([python, os.path.join(HERE, "torch_search.py")] + threads + more)
    return mine, next(csv.DictReader(text.splitlines())) if text else None


def search_table(mine, torch):
    header = ["", "train s", "one evaluation s", "search s", "passes", "kept", "gradient s",
              "Hessian-vector s"]
    lines = []
    for name, row in (("ours", mine), ("PyTorch, every grid point", torch)):
        if row:
            lines.append([name] + [
                cell(float(row[key]) if row.get(key) else None, "{:.3f}")
                for key in ("train_seconds", "pass_seconds", "search_seconds", "passes",
                            "kept_fraction", "gradient_seconds", "hessian_vector_seconds")])
    text = table(header, lines)
    if torch:
        times = float(torch["search_seconds"]) / float(mine["search_seconds"])
        text += f"\n\nsearch: {verdict(times, SEARCH_GOAL)} times faster"
    same = "the same" if float(mine["kept_fraction"]) == float(mine["full_kept_fraction"]) \
        else "NOT the same"
    return text + f"\nour answer is {same} as that of our own full loss curve " \
                  f"({float(mine['full_seconds']):.2f} s)\n" \
                  "(each trains its own network: kept fractions of the two need not agree)"


def cpu_name():
    return (cpu_field("model name") or platform.processor() or platform.machine()
            or "unknown CPU")


def versions(python, ort):
    lines = [f"cpu: {cpu_name()}, {os.cpu_count()} logical", f"system: {platform.platform()}"]
    if python:
        code = "import torch; print('PyTorch', torch.__version__)"
        lines.append((output_of([python, "-c", code]) or "PyTorch ?").strip())
    if ort:
        code = "console.log('ONNX Runtime', require('onnxruntime-node/package.json').version)"
        lines.append((output_of(["node", "-e", code], env=ort) or "ONNX Runtime ?").strip())
    return "\n".join(lines)


def save(rows, report):
    """bench/results/<cpu>-<date>.csv and .md."""
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    base = os.path.join(RESULTS, f"{name}-{datetime.date.today().isoformat()}")
    os.makedirs(RESULTS, exist_ok=True)
    with open(base + ".csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    with open(base + ".md", "w", encoding="utf-8") as file:
        file.write(report)
    print(f"\nwritten: {base}.csv, {base}.md")


def machine_of(program):
    """The lines in which our program prints compiler, flags, version and instruction set."""
    text = output_of([program, "--filter", "=cnn-8", "--threads", "1", "--reps", "1", "--seconds",
                      "0"])
    return "\n".join(line for line in (text or "").splitlines()
                     if re.match(r"(compiler|flags|version|isa):", line))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=list(GOALS), help="may be repeated")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--no-search", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one small case: does it work?")
    parser.add_argument("--save", action="store_true", help="write to bench/results")
    parser.add_argument("--ort", default="", help="node_modules that holds onnxruntime-node")
    parser.add_argument("--onnx", default=os.path.join(ROOT, "build", "onnx"),
                        help="where exported models are kept")
    parser.add_argument("--networks", default=os.path.join(ROOT, "build", "bench_networks"))
    parser.add_argument("--search", default=os.path.join(ROOT, "build", "bench_search"))
    options = parser.parse_args()
    options.case = options.case or (["cnn-8"] if options.quick else list(GOALS))
    return options


def main():
    options = parse()
    if not os.path.exists(options.networks):
        sys.exit(f"{options.networks} is missing: run make bench-peers")
    python, ort = find_python(), find_ort(options.ort)
    networks = Networks(options, python, ort)
    networks.run()
    rows = network_rows(networks)
    report = f"# Networks and search beside their peers, {datetime.date.today().isoformat()}\n\n" \
             f"```\n{versions(python, ort)}\n{machine_of(options.networks)}\n```\n\n" \
             "Batch 128, 3x32x32, 10 classes, best of all rounds and layouts; MB: peak memory of " \
             f"the process.\n\n{network_table(rows)}\n"
    if not options.no_search:
        mine, torch = run_search(options, python)
        report += "\n## Prunability search\n\n" \
                  f"CNN k = {mine['width']}, {mine['images']} images, {mine['epochs']} epochs, " \
                  f"grid {mine['grid']}, {mine['threads']} threads.\n\n" \
                  f"{search_table(mine, torch)}\n"
    if options.quick:
        report += "\nOnly a test: too few calls on too small cases to judge any goal.\n"
    print("\n" + report, end="", flush=True)
    if options.save:
        save(rows, report)


if __name__ == "__main__":
    main()
