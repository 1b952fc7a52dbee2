#!/usr/bin/env python3
"""Measures proposed after the paper's catalogue, for the three families: the library's values
against their definitions in PyTorch.

    recent.py LIBRARY DATA [FOLDER]

LIBRARY: the shared library; DATA: folder of the project's images; FOLDER: a clone of
tml-epfl/sharpness-vs-generalization, whose ascent is then run as well. Random numbers are
recomputed as [RNG] defines them, so that both sides use the same samples. Prints a table of all
comparisons. The last line is "recent: N passed, N failed", with ", N skipped" where scikit-learn is
missing.
"""
import contextlib
import ctypes
import functools
import importlib
import io
import math
import os
import sys
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(ROOT, "examples"), os.path.join(ROOT, "examples", "pytorch")]
import from_pytorch  # noqa: E402
import prunability  # noqa: E402

FAMILIES = "cnn", "nin", "resnet18"
WIDTHS = {"cnn": 8, "nin": 8, "resnet18": 4}
EPOCHS = {"cnn": 8, "nin": 14, "resnet18": 13}
EARLY = {"cnn": "conv0", "nin": "block0_conv0", "resnet18": "conv1"}
LAST = {"cnn": "fc", "nin": "head", "resnet18": "linear"}
PLACES = "early", "late", "last"
CLASSES = 10
SMALL = 32                                         # samples of the small objective
LARGE = {"cnn": 260, "nin": 620, "resnet18": 260}  # of the large one: more than a measure uses
FEW, GROUP = 12, 6                                 # samples of balls in two groups, and per group
SEED, DRAWS = 7, 2                                 # options of the measurements

# Streams of random numbers, as [RNG.I] and their users number them.
MEASURE, AUGMENT, TRACE, PERTURB = 1 << 33, 1 << 44, (1 << 56) + (2 << 40), 1 << 60
DECK, PAIRS = MEASURE + (1 << 34), MEASURE + (1 << 32)
IN_BALL, IN_MODULE = PERTURB + (1 << 50), PERTURB + (1 << 51)

# Bounds on relative differences: of functions of the same arrays; of losses and gradients, which
# single precision leaves 1e-6 apart, or 3e-5 if two losses nearly cancel; of sums of gradients. In
# these, a ReLU or maximum whose input is 0 up to rounding may be decided differently, which may
# change one sample's gradient by a few percent, and a sum by up to 7e-4 here.
ARRAYS, ROUNDED, TWIN, KINKS = 1e-9, 1e-5, 1e-4, 5e-3
# Of ascents: with the library's gradients and displacements in single precision, all steps are the
# same, except projections onto an ellipsoid, which agree to 1e-9. With PyTorch's gradients, a ReLU
# that is decided differently changes signs, and the paths diverge. They end at losses that differ
# by up to 5e-3, or 4e-4 if the radius is small and the loss is nearly linear.
SAME_STEPS, ASCENT, ASCENT_NEAR = 1e-4, 2e-2, 3e-3

PTR, I32, I64, U64, F64 = (ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_uint64,
                           ctypes.c_double)
FUNCTIONS = {  # result and argument types of functions that prunability.py does not call
    "prun_random_bits": (U64, [U64, U64, U64]),
    "prun_random_normal": (F64, [U64, U64, U64]),
    "prun_random_permutation": (None, [U64, U64, I64, PTR]),
    "prun_net_create_family": (ctypes.c_int, [PTR] * 3),
    "prun_net_copy": (ctypes.c_int, [PTR, I32, PTR]),
    "prun_net_free": (None, [PTR]),
    "prun_net_tensors": (PTR, [PTR, PTR]),
    "prun_net_trained_tensors": (PTR, [PTR, PTR]),
    "prun_net_objective": (ctypes.c_int, [PTR] * 3),
    "prun_train": (ctypes.c_int, [PTR] * 4),
    "prun_davies_bouldin": (ctypes.c_int, [PTR, PTR, PTR, I64, I64, I64, PTR]),
    "prun_relative_flatness": (ctypes.c_int, [PTR, PTR, PTR, I64, PTR, I32, PTR]),
    "prun_disagreement": (F64, [PTR, PTR, I64, I64]),
    "prun_gradient_moments": (ctypes.c_int, [PTR, PTR, I64, F64, PTR]),
    "prun_ball_sharpness": (ctypes.c_int, [PTR] * 3),
    "prun_module_count": (I64, [PTR]),
    "prun_reinitialization_errors": (ctypes.c_int, [PTR] * 2),
    "prun_criticality": (ctypes.c_int, [PTR] * 3),
    "prun_perturbation_curve": (ctypes.c_int, [PTR, PTR, I64] + [PTR] * 4),
}
GRADIENT = ctypes.CFUNCTYPE(ctypes.c_int, PTR, PTR, I64, PTR, PTR)
REPRESENTATION = ctypes.CFUNCTYPE(ctypes.c_int, PTR, ctypes.c_int, PTR, I64, PTR)
LOGITS = ctypes.CFUNCTYPE(ctypes.c_int, PTR, PTR, I64, PTR)


class Comparisons:
    """Counts comparisons and keeps them for the table."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.rows = []

    def check(self, holds, what):
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        if not holds:
            print(f"FAIL {what}", flush=True)

    def compare(self, measure, network, ours, oracle, bound, how, scale=None):
        """Two values, or the values of two arrays that are farthest apart. The bound is relative to
        the oracle's value, or to `scale`."""
        ours, oracle = np.atleast_1d(np.float64(ours)), np.atleast_1d(np.float64(oracle))
        scale = np.abs(oracle) if scale is None else scale
        with np.errstate(invalid="ignore"):  # two infinities are equal
            relative = np.abs(ours - oracle) / np.maximum(scale, 1e-300)
        relative = np.where(ours == oracle, 0.0, relative)
        at = int(np.argmax(relative))  # the first NaN, if there is one
        self.rows.append((measure, network, ours[at], oracle[at], relative[at], how))
        self.check(relative[at] <= bound, f"{network}: {measure} {ours[at]!r}, should be "
                   f"{oracle[at]!r}: relative difference {relative[at]:.2g}, {bound:g} allowed "
                   f"({how})")

    def compare_with_error(self, measure, network, ours, oracle, bound, how):
        """Two values with their standard errors. Errors of the parts of a sum may be large
        relative to a small standard error."""
        self.compare(measure, network, ours[0], oracle[0], bound, how)
        self.compare(f"{measure}: its standard error", network, ours[1], oracle[1], bound, how,
                     abs(oracle[1]) + 0.1 * abs(oracle[0]))


# ---- random numbers ------------------------------------------------------------------------------


def philox(seed, stream, index):
    """Philox4x32-10 of Salmon et al. 2011 at an array of counters: four arrays of 32-bit words."""
    low, shift = np.uint64(0xffffffff), np.uint64(32)
    index = np.asarray(index, np.uint64)
    key = [np.uint64(seed & 0xffffffff), np.uint64(seed >> 32)]
    x = [index & low, index >> shift, np.full_like(index, stream & 0xffffffff),
         np.full_like(index, stream >> 32)]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(b >> shift) ^ x[1] ^ key[0], b & low, (a >> shift) ^ x[3] ^ key[1], a & low]
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    return x


def random_bits(seed, stream, index):
    x = philox(seed, stream, index)
    return x[1] << np.uint64(32) | x[0]


def random_uniform(seed, stream, index):
    return (random_bits(seed, stream, index) >> np.uint64(11)) * 2.0 ** -53


def random_normal(seed, stream, index):
    """Box-Muller, the first number in (0, 1]."""
    x = philox(seed, stream, index)
    first, angle = ((x[i + 1] << np.uint64(32) | x[i]) >> np.uint64(11) for i in (0, 2))
    return np.sqrt(-2 * np.log((first + 1.0) * 2.0 ** -53)) * np.cos(angle * 2.0 ** -52 * math.pi)


def random_below(bits, n):
    return int((int(bits) >> 32) * n >> 32)


def random_permutation(seed, stream, n):
    """Fisher and Yates, from the inside out."""
    out = [0] * n
    for i, bits in enumerate(random_bits(seed, stream, np.arange(n))):
        j = random_below(bits, i + 1)
        out[i], out[j] = out[j], i
    return np.array(out, int)


def deals(which, total, hand, rounds):
    """Hands of samples from a shuffled deck, which is reshuffled when too few are left."""
    stream, order = DECK + (which << 30), np.empty(0, int)
    for _ in range(rounds):
        if len(order) < hand:
            order, stream = random_permutation(SEED, stream, total), stream + 1
        yield order[:hand]
        order = order[hand:]


def compare_random_numbers(c, table):
    at = [0, 1, 77, 1 << 40]
    table.check([c.prun_random_bits(SEED, PERTURB + 3, i) for i in at] ==
                random_bits(SEED, PERTURB + 3, at).tolist(), "random bits")
    table.compare("prun_random_normal", "", [c.prun_random_normal(SEED, 5, i) for i in at],
                  random_normal(SEED, 5, at), 1e-12, "Philox and Box-Muller in NumPy")
    order = np.empty(1000, np.int64)
    c.prun_random_permutation(SEED, MEASURE, 1000, order.ctypes.data)
    table.check(np.array_equal(order, random_permutation(SEED, MEASURE, 1000)), "permutation")


# ---- networks ------------------------------------------------------------------------------------


def normalized(logits):
    """Logits centred and divided by their norm."""
    centred = logits - logits.mean(1, keepdim=True)
    return centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-10)


class Twin:
    """A network of PyTorch in eval mode that takes the library's parameters as one vector."""

    def __init__(self, subject, dtype):
        self.family, self.dtype = subject.family, dtype
        self.model = from_pytorch.FAMILIES[subject.family](WIDTHS[subject.family]).to(dtype).eval()
        known = dict(self.model.named_parameters())
        self.parameters = [known[name] for name in subject.names]
        assert len(known) == len(subject.names)
        for name, values in subject.statistics.items():
            buffer = self.model.get_buffer(name)
            buffer.copy_(torch.from_numpy(values).reshape(buffer.shape))
        self.write(subject.flat())

    def write(self, flat):
        """Parameters are stored in single precision there, so they are rounded here."""
        flat = torch.from_numpy(np.asarray(flat, np.float32))
        for p, part in zip(self.parameters, flat.split([p.numel() for p in self.parameters])):
            p.data.copy_(part.reshape(p.shape))

    def logits(self, x):
        with torch.no_grad():
            return torch.cat([self.model(part.to(self.dtype)) for part in x.split(100)])

    def loss(self, x, y, normalize=False):
        f = self.logits(x).double()
        return F.cross_entropy(normalized(f) if normalize else f, y).item()

    def gradient(self, x, y, normalize=False):
        """Mean loss and its gradient, in the order of the library."""
        f = self.model(x.to(self.dtype)).double()
        loss = F.cross_entropy(normalized(f) if normalize else f, y)
        parts = torch.autograd.grad(loss, self.parameters)
        return loss.item(), torch.cat([g.reshape(-1) for g in parts]).double().numpy()

    def first_output(self, x):
        """Output of the first convolution, and the logits."""
        kept = []
        hook = self.model.get_submodule(EARLY[self.family]).register_forward_hook(
            lambda module, inputs, output: kept.append(output))
        f = self.model(x.to(self.dtype))
        hook.remove()
        return kept[0], f

    def places(self, x):
        """Representations at the three places, one row for each sample."""
        kept = []
        hook = self.model.get_submodule(LAST[self.family]).register_forward_hook(
            lambda module, inputs, output: kept.extend((inputs[0], output)))
        with torch.no_grad():
            early, _ = self.first_output(x)
        hook.remove()
        last, output = kept
        # the third last layer is a pool just before the last layer, or the head of NiN
        late = output if self.family == "nin" else last
        return {"early": F.max_pool2d(early, 4).flatten(1), "late": late.flatten(1),
                "last": last.flatten(1)}


class Subject:
    """A trained network of the library, its objectives, and its twins."""

    def __init__(self, library, family, x, y):
        self.binding, self.c, self.family = library, library.c, family
        self.name = {"cnn": "CNN", "nin": "NiN", "resnet18": "ResNet18"}[family]
        self.large = LARGE[family]
        self.pixels = np.ascontiguousarray(x[:self.large], np.float32)
        self.labels = np.ascontiguousarray(y[:self.large], np.int32)
        self.x, self.y = torch.from_numpy(self.pixels), torch.from_numpy(self.labels).long()
        self.context = library.make("prun_context", threads=1)
        self.images = {n: library.make("prun_images", count=n, channels=1, height=32, width=32,
                                       classes=CLASSES, values=self.pixels.ctypes.data,
                                       labels=self.labels.ctypes.data)
                       for n in (SMALL, self.large)}
        arch = library.make("prun_arch", family=FAMILIES.index(family), width=WIDTHS[family],
                            depth=3, image_channels=1, seed=3)
        net = PTR()
        self.call("prun_net_create_family", self.context, arch, net)
        self.net = net.value
        self.call("prun_net_copy", self.net, 0, net)
        self.initial = net.value
        options = library.make("prun_train_options", epochs=EPOCHS[family], batch=30, momentum=0.9,
                               learning_rate=0.02, seed=5)
        self.call("prun_train", self.net, self.images[self.large], options, None)
        self.tensors = self.tensors_of("prun_net_trained_tensors", self.net)
        self.names = [t.name.decode() for t in self.tensors]
        self.views = [self.view(t) for t in self.tensors]
        noise = np.random.default_rng(1)
        for view in self.views:  # no parameter may be 0, because the peer divides by it
            view += noise.normal(0, 0.003, len(view)).astype(np.float32)
        self.statistics = {t.name.decode(): self.view(t).copy() for t in
                           self.tensors_of("prun_net_tensors", self.net) if t.flags & 8}
        first = self.tensors_of("prun_net_trained_tensors", self.initial)
        self.initial_flat = np.concatenate([self.view(t) for t in first])
        self.objective = {}
        for n, images in self.images.items():
            self.objective[n] = library.make("prun_objective")
            self.call("prun_net_objective", self.net, images, self.objective[n])
            self.objective[n].initial = ctypes.addressof(first)
        self.exact, self.fast = Twin(self, torch.float64), Twin(self, torch.float32)
        if family == "nin":  # its passes are short
            self.fast = self.exact

    def free(self):
        self.c.prun_net_free(self.net)
        self.c.prun_net_free(self.initial)

    def tensors_of(self, function, net):
        count = I64()
        address = getattr(self.c, function)(net, ctypes.byref(count))
        return (self.binding.structs["prun_tensor"] * count.value).from_address(address)

    @staticmethod
    def view(tensor):
        size = math.prod(tensor.shape[:tensor.rank])
        return np.frombuffer((ctypes.c_float * size).from_address(tensor.data), np.float32)

    def call(self, name, *arguments):
        """Calls a function that returns a status; arguments that are not numbers go by address."""
        def place(a):
            if isinstance(a, np.ndarray):
                return a.ctypes.data
            return a if a is None or isinstance(a, (int, float)) else ctypes.byref(a)
        status = getattr(self.c, name)(*[place(a) for a in arguments])
        if status != 0:
            sys.exit(f"error: {name}: {self.context.message.decode()}")

    def flat(self):
        return np.concatenate(self.views)

    def write(self, flat):
        at = 0
        for view in self.views:
            view[:] = flat[at:at + len(view)]
            at += len(view)

    def moved(self, flat):
        """The twin for long work, with other parameters until they are written back."""
        self.fast.write(flat)
        return self.fast

    def callback(self, kind, name, n, *arguments):
        function = kind(getattr(self.objective[n], name))
        if function(ctypes.addressof(self.objective[n]), *arguments) != 0:
            sys.exit(f"error: {name}: {self.context.message.decode()}")

    def c_gradient(self, index):
        """A function of parameters: the library's mean loss of samples, and its gradient."""
        index, kept = np.ascontiguousarray(index, np.int64), self.flat()
        gradient, total = np.empty(len(kept), np.float32), F64()

        def evaluate(flat):
            self.write(flat.astype(np.float32))
            self.callback(GRADIENT, "gradient", self.large, index.ctypes.data, len(index),
                          gradient.ctypes.data, ctypes.addressof(total))
            self.write(kept)
            return total.value / len(index), gradient.astype(float) / len(index)
        return evaluate

    def rows(self, place, n):
        """The library's representation of the first n samples."""
        o = self.objective[n]
        rows = np.empty((n, o.features[PLACES.index(place)]), np.float32)
        self.callback(REPRESENTATION, "representation", n, PLACES.index(place), None, n,
                      rows.ctypes.data)
        return rows

    def c_logits(self, n):
        logits = np.empty((n, CLASSES), np.float32)
        self.callback(LOGITS, "logits", n, None, n, logits.ctypes.data)
        return logits

    def measurements(self, n, names, some=0):
        """{name: (value, standard error)} of n samples; some: as many for measures that choose."""
        options = self.binding.make("prun_measure_options", hessian_samples=some or n, seed=SEED,
                                    draws=DRAWS)
        m, found = PTR(), {}
        result = self.binding.make("prun_measure_result")
        self.call("prun_measurement_create", self.objective[n], options, m)
        for name in names:
            if self.c.prun_measure(m, name.encode(), ctypes.byref(result)) != 0:
                sys.exit(f"error: {self.name}: {name}: {result.message.decode()}")
            found[name] = result.value, result.standard_error
        self.c.prun_measurement_free(m)
        return found


def mean_and_error(values):
    return np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))


def wrong_answers(logits, y, slack=3e-6):
    """Smallest and largest possible number of wrong answers if logits may be off by the slack."""
    rest = logits.double().clone()
    own = rest.gather(1, y[:, None])[:, 0]
    rest.scatter_(1, y[:, None], -math.inf)
    gap, slack = own - rest.max(1).values, slack * logits.abs().max().item()
    return int((gap < -slack).sum()), int((gap < slack).sum())


# ---- gradients and logits ------------------------------------------------------------------------


def moments(gradients):
    """The measures of per-sample gradients, which are the rows of an array."""
    mean, variance = gradients.mean(0), gradients.var(0)
    return {"gradient_norm": mean @ mean, "gradient_norm_fraction": mean @ mean / len(mean),
            "fisher_trace": (gradients ** 2).sum(1).mean(),
            "gradient_signal_to_noise": (mean ** 2 / (variance + 1e-5)).mean(),
            "squared norm": mean @ mean, "centred trace": variance.sum()}


def compare_gradients(s, table):
    x, y, w = s.x[:SMALL], s.y[:SMALL], s.flat().astype(float)
    f = s.exact.logits(x)
    gap = (f.softmax(1) * f).sum(1) - f.gather(1, y[:, None])[:, 0]
    ours = np.stack([s.c_gradient([i])(w)[1] for i in range(SMALL)])
    theirs = np.stack([s.exact.gradient(x[i:i + 1], y[i:i + 1])[1] for i in range(SMALL)])
    apart = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    table.compare("gradient of a sample, median of differences", s.name, np.median(apart), 0,
                  ROUNDED, "autograd", 1)
    found = s.measurements(SMALL, [
        "fisher_rao_norm", "gradient_norm", "gradient_norm_fraction", "fisher_trace",
        "gradient_signal_to_noise", "takeuchi_ratio", "takeuchi_ratio_centred"])
    found = {name: value for name, (value, _) in found.items()}
    table.compare("fisher_rao_norm", s.name, found["fisher_rao_norm"],
                  sum(t.flags & 1 for t in s.tensors) * math.sqrt(gap.square().mean().item()), TWIN,
                  "logits of the twin")
    result = s.binding.make("prun_gradient_moments_result")
    s.call("prun_gradient_moments", s.objective[SMALL], None, SMALL, 1e-5, result)
    found["squared norm"], found["centred trace"] = result.squared_norm, result.centred_trace
    for name, value in moments(ours).items():
        # the norm is of a sum in single precision
        table.compare(name, s.name, found[name], value, ROUNDED if "t_norm" in name else ARRAYS,
                      "NumPy, the library's gradients of samples")
    for name, value in moments(theirs).items():
        table.compare(name, s.name, found[name], value, KINKS, "autograd, sample by sample")
    loss = F.cross_entropy(s.exact.model(x.double()), y)
    parts = torch.autograd.grad(loss, s.exact.parameters, create_graph=True)
    gradient, traces = torch.cat([g.reshape(-1) for g in parts]), []
    for probe in range(DRAWS):
        signs = random_bits(SEED, TRACE + probe, np.arange(len(w))) & np.uint64(1)
        v = torch.from_numpy(2.0 * signs - 1)
        product = torch.autograd.grad(gradient @ v, s.exact.parameters, retain_graph=True)
        traces.append(torch.cat([p.reshape(-1) for p in product]) @ v)
    trace, top = torch.stack(traces).mean().item(), moments(theirs)
    for name, of in ("takeuchi_ratio", "fisher_trace"), ("takeuchi_ratio_centred", "centred trace"):
        table.compare(name, s.name, found[name], top[of] / trace, KINKS,
                      "autograd, over v'Hv of the same random signs v")


def compare_disagreement(s, table):
    ours = s.c_logits(SMALL)
    s.exact.write(s.initial_flat)
    other = np.ascontiguousarray(s.exact.logits(s.x[:SMALL]).float().numpy())
    s.exact.write(s.flat())
    table.compare("prun_disagreement", s.name,
                  s.c.prun_disagreement(ours.ctypes.data, other.ctypes.data, SMALL, CLASSES),
                  (ours.argmax(1) != other.argmax(1)).mean(), 1e-15, "NumPy's argmax")


def trace_sum(x, logits, w, y):
    """Sum over s and t of <w_s, w_t> Tr H_st, from all second derivatives of the mean loss of the
    logits + (w' - w) x at w' = w."""
    x, w, logits = (torch.as_tensor(a).double() for a in (x, w, logits))
    hessian = torch.autograd.functional.hessian(
        lambda moved: F.cross_entropy(logits + x @ (moved - w).T, y), w)
    return ((w @ w.T) * torch.einsum("sktk->st", hessian)).sum().item()


def compare_flatness(s, table, places):
    y = s.y[:SMALL]
    at = s.names.index(LAST[s.family] + ".weight")
    w = s.views[at].reshape(CLASSES, -1).astype(float)
    rows, logits = s.rows("last", SMALL), s.c_logits(SMALL)
    theirs, their_logits = places["last"][:SMALL].numpy(), s.exact.logits(s.x[:SMALL])
    found = s.measurements(SMALL, ["relative_flatness", "relative_flatness_scaled"])
    for scaled, name in enumerate(found):
        def scale(x):
            x = x.astype(float)
            deviation = x.std(0) if scaled else np.ones(x.shape[1])
            kept = deviation > 0
            return (x / np.where(kept, deviation, 1))[:, kept], (w * deviation)[:, kept]
        x, v = scale(rows)
        value = F64()
        s.call("prun_relative_flatness", s.context, rows, logits, SMALL, s.tensors[at], scaled,
               value)
        for what, ours in (("the measure", found[name][0]), ("prun_relative_flatness", value.value)):
            table.compare(f"{name}, {what}", s.name, ours, trace_sum(x, logits, v, y), ARRAYS,
                          "dense Hessian by autograd, from the library's rows and logits")
        x, v = scale(theirs)
        table.compare(name, s.name, found[name][0], trace_sum(x, their_logits, v, y), TWIN,
                      "dense Hessian by autograd, from the twin's")
    chosen = random_permutation(SEED, MEASURE, s.large)[:SMALL]
    found = s.measurements(s.large, ["relative_flatness"], SMALL)["relative_flatness"][0]
    table.compare("relative_flatness, some samples", s.name, found,
                  trace_sum(s.rows("last", s.large)[chosen], s.c_logits(s.large)[chosen], w,
                            s.y[chosen]), ARRAYS,
                  "dense Hessian by autograd, from the library's rows and logits")


# ---- representations -----------------------------------------------------------------------------


def davies_bouldin(rows, labels):
    rows, classes = rows.astype(float), np.unique(labels)
    centres = np.stack([rows[labels == k].mean(0) for k in classes])
    spread = np.array([np.linalg.norm(rows[labels == k] - centre, axis=1).mean()
                       for k, centre in zip(classes, centres)])
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    np.fill_diagonal(apart, math.inf)
    return ((spread[:, None] + spread) / apart).max(1).mean()


def compare_clusters(s, table, places, scikit):
    names = [f"davies_bouldin_{place}" for place in PLACES]
    found, large = {n: s.measurements(n, names) for n in (SMALL, s.large)}, s.large
    for which, (place, name) in enumerate(zip(PLACES, names)):
        rows, theirs, labels = s.rows(place, large), places[place].numpy(), s.labels
        table.compare(f"representation, {place}", s.name, rows.ravel(), theirs.ravel(), TWIN,
                      "forward hooks of the twin", np.abs(theirs).max())
        index = F64()
        s.call("prun_davies_bouldin", s.context, rows, labels, large, rows.shape[1], CLASSES,
               index)
        oracles = [("NumPy, from the library's rows", davies_bouldin(rows, labels))]
        if scikit:
            oracles.append(("scikit-learn, from the library's rows",
                            scikit.davies_bouldin_score(rows.astype(float), labels)))
        for how, value in oracles:
            table.compare(f"prun_davies_bouldin, {place}", s.name, index.value, value, ARRAYS, how)
        table.compare(f"{name}, one hand", s.name, found[SMALL][name][0],
                      davies_bouldin(rows[:SMALL], labels[:SMALL]), ARRAYS,
                      "NumPy, from the library's rows")
        hands = list(deals(which, large, 120, 10))
        for how, x, bound in (("NumPy, from the library's rows", rows, ARRAYS),
                              ("NumPy, from the twin's rows", theirs, TWIN)):
            wanted = mean_and_error([davies_bouldin(x[i], labels[i]) for i in hands])
            table.compare_with_error(f"{name}, ten hands", s.name, found[large][name], wanted, bound,
                                     how)


def mixup_rates(s, index, twin):
    """By label: the smallest and largest possible fraction of misclassified pairs."""
    rates = np.full((CLASSES, 2), math.nan)
    for label in range(CLASSES):
        own = [i for i in index if s.labels[i] == label]
        pairs = np.array([(a, b) for k, a in enumerate(own) for b in own[k + 1:]])
        if len(pairs):
            mixed = (s.x[pairs[:, 0]] + s.x[pairs[:, 1]]) / 2
            rates[label] = np.array(wrong_answers(
                twin.logits(mixed), torch.full((len(pairs),), label))) / len(pairs)
    return rates


def compare_mixup(s, table):
    names = ["mixup_error", "davies_bouldin_early", "davies_bouldin_times_mixup"]
    found = {n: s.measurements(n, names) for n in (SMALL, s.large)}
    for n, what, hands, twin in (
            (SMALL, "all pairs", [np.arange(SMALL)], s.exact),
            (s.large, "ten hands", list(deals(3, s.large, 10 * CLASSES, 10)), s.fast)):
        rates = np.stack([mixup_rates(s, hand, twin) for hand in hands])
        rates = rates[:, np.isfinite(rates).any((0, 2))]  # labels that occur twice
        ours, error = found[n]["mixup_error"]
        low, high = np.nanmean(np.nanmean(rates, 0), 0)
        table.compare(f"mixup_error, {what}", s.name, ours, np.clip(ours, low, high), 1e-12,
                      f"all pairs of equal label, {n} samples")
        early, early_error = found[n]["davies_bouldin_early"]
        product, product_error = found[n]["davies_bouldin_times_mixup"]
        table.compare(f"davies_bouldin_times_mixup, {what}", s.name, product, ours * early, 1e-12,
                      "the product")
        if len(hands) > 1:
            table.compare("davies_bouldin_times_mixup, ten hands: its standard error", s.name,
                          product_error, math.hypot(ours * early_error, early * error), 1e-12,
                          "of independent factors")
            table.compare("mixup_error, ten hands: its standard error", s.name, error,
                          mean_and_error(np.nanmean(rates, 1)[:, 0])[1],
                          ARRAYS if low == high else 0.05, "over hands")


def augmented(x, batch):
    """Images of one batch, mirrored and moved by up to a tenth of the size; borders repeat."""
    count, _, height, width = x.shape
    out, reach = np.empty_like(x), min(height, width) // 10
    bits = random_bits(SEED, AUGMENT + batch, np.arange(4 * count)).reshape(count, 4)
    for i in range(count):
        down, right = (random_below(bits[i, k], 2 * reach + 1) - reach for k in (2, 3))
        rows, columns = (np.clip(np.arange(size) + move, 0, size - 1)
                         for size, move in ((height, down), (width, right)))
        image = x[i][:, rows][:, :, columns]
        out[i] = image[:, :, ::-1] if int(bits[i, 0]) & 1 else image
    return out


def mixed_within_labels(x, labels, batch):
    """Means of each image of a batch and one of its label."""
    partner = np.empty(len(labels), int)
    for label in range(CLASSES):
        own = np.flatnonzero(labels == label)
        partner[own] = own[random_permutation(SEED, PAIRS + batch * CLASSES + label, len(own))]
    return (x + x[partner]) / 2


def first_layer_margins(s, x, y):
    """Margins over the norms of their gradients, and the output of the first convolution."""
    h, f = s.exact.first_output(torch.from_numpy(x))
    others = f.detach().clone().scatter_(1, y[:, None], -math.inf).argmax(1)
    gap = f.gather(1, y[:, None])[:, 0] - f.gather(1, others[:, None])[:, 0]
    gradient, = torch.autograd.grad(gap.sum(), h)
    norm = gradient.flatten(1).norm(dim=1) + 1e-7
    return (gap / norm).detach().numpy(), h.detach().flatten(1).numpy()


def compare_margins(s, table):
    names = "mixup_margin", "augmented_margin"
    found = s.measurements(s.large, names)
    order = next(deals(4, s.large, min(500, s.large), 1))
    for name in names:
        margins, outputs = [], []
        for batch, index in enumerate(np.split(order, range(50, len(order), 50))):
            x = augmented(s.pixels[index], batch) if "augmented" in name else \
                mixed_within_labels(s.pixels[index], s.labels[index], batch)
            for kept, part in zip((margins, outputs), first_layer_margins(s, x, s.y[index])):
                kept.append(part)
        variance = np.sort(np.concatenate(outputs).var(0))
        cut = len(variance) // 20
        spread = math.sqrt(variance[cut:len(variance) - cut].mean()) + 1e-7
        table.compare_with_error(name, s.name, found[name],
                                 mean_and_error(-np.concatenate(margins) / spread), KINKS,
                                 "autograd at the first convolution, the same images")


def compare_sensitivity(s, table):
    names = "input_sensitivity", "input_sensitivity_logits"
    found = s.measurements(SMALL, names)
    x = s.x[:SMALL].double().requires_grad_()
    for p in s.exact.parameters:
        p.requires_grad_(False)
    f = s.exact.model(x)
    for name, output in zip(names, (f.softmax(1), f)):
        squares = sum(torch.autograd.grad(output[:, k].sum(), x, retain_graph=True)[0]
                      .square().flatten(1).sum(1) for k in range(CLASSES))
        table.compare_with_error(name, s.name, found[name], mean_and_error(
            squares.sqrt().detach().numpy()), KINKS, "Jacobians by autograd")
    for p in s.exact.parameters:
        p.requires_grad_(True)


# ---- sharpness at a fixed radius -----------------------------------------------------------------

LOOKS = 5, 9, 12, 15, 16, 18, 19
SHAPES = "ball", "box"
KINDS = {"": (0, 0), "_adaptive": (1, 0), "_adaptive_normalized": (1, 1)}  # adaptive, normalized
LESS = {"ball": 50, "box": 10}  # divisors of radii, for agreement to more digits
RADIUS = {"ball": 0.5, "box": 0.002, "ball_average": 0.1, "box_average": 0.2}


def single(values):
    """Values as the library stores them."""
    return values.astype(np.float32).astype(float)


def project(z, c, radius):
    """The point of the ellipsoid |z / c| <= radius that is nearest to z, by bisection."""
    squared = np.where(c > 0, c, 1) ** 2
    z = np.where(c > 0, z, 0)
    weighted = squared * z ** 2

    def is_outside(t):
        return (weighted / (squared + t) ** 2).sum() > radius ** 2
    if not is_outside(0):
        return z
    low, high = 0.0, 1.0
    while is_outside(high):
        high *= 2
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if is_outside(middle) else (low, middle)
    return z * squared / (squared + high)


def ascend(evaluate, w, shape, adaptive, radius):
    """Rise of the loss in 20 steps of Auto-PGD; evaluate gives the loss and its gradient."""
    c = np.abs(w) if adaptive else np.ones_like(w)
    d, before, best = (np.zeros_like(w) for _ in range(3))
    base, g = evaluate(w)
    worst = last_worst = base
    step = last_step = 2 * radius
    gains = last = 0
    for i in range(20):
        along = np.sign(g) if shape == "box" else g / (np.linalg.norm(g) + 1e-12)
        z = single(d + step * c * along)
        if shape == "box":
            z = np.clip(z, -radius * c, radius * c)
        else:
            z = project(z, c, radius) if adaptive else z * min(1, radius / np.linalg.norm(z))
        d, before = single(0.75 * single(z) + 0.25 * before), d
        loss, g = evaluate(w + d)
        if loss > worst:
            worst, best, gains = loss, d, gains + 1
        if i in LOOKS:
            slow = gains < 0.75 * (i - last) or (last_step == step and last_worst == worst)
            last_step, last_worst, last, gains = step, worst, i, 0
            if slow:
                step /= 2
                g = evaluate(w + best)[1]
    return worst - base


def twin_gradient(twin, s, index, normalize):
    index = torch.as_tensor(index)

    def evaluate(flat):
        twin.write(flat)
        found = twin.gradient(s.x[index], s.y[index], normalize)
        twin.write(s.flat())
        return found
    return evaluate


def ball(s, n, **options):
    """The library's rise and its error over groups."""
    result = s.binding.make("prun_ball_result")
    s.call("prun_ball_sharpness", s.objective[n], s.binding.make("prun_ball_options", seed=SEED,
                                                                 **options), result)
    return result.rise, result.standard_error


def groups_of(n, samples, group):
    order = random_permutation(SEED, MEASURE + 4, n)[:samples]
    return [order[at:at + group] for at in range(0, samples, group)]


def compare_largest_rises(s, table):
    names = [f"sharpness_{shape}{kind}" for shape in SHAPES for kind in KINDS]
    found, w = s.measurements(SMALL, names), s.flat().astype(float)
    small = groups_of(SMALL, SMALL, SMALL)[0]
    few = groups_of(s.large, FEW, GROUP)
    for shape, kind in [(shape, kind) for shape in SHAPES for kind in KINDS]:
        name, (adaptive, normalize) = f"sharpness_{shape}{kind}", KINDS[kind]

        def with_twin(index, radius):
            return ascend(twin_gradient(s.fast, s, index, normalize), w, shape, adaptive, radius)

        def with_library(index, radius):
            return ascend(s.c_gradient(index), w, shape, adaptive, radius)

        def in_groups(radius):
            return ball(s, s.large, radius=radius, shape=SHAPES.index(shape), samples=FEW,
                        group=GROUP, adaptive=adaptive, normalize=normalize)
        radius = RADIUS[shape]
        table.compare(name, s.name, found[name][0], with_twin(small, radius), ASCENT,
                      "Auto-PGD in NumPy, autograd")
        near = radius / LESS[shape]
        table.compare_with_error(f"{name}, radius {near:g}, two groups", s.name, in_groups(near),
                                 mean_and_error([with_twin(index, near) for index in few]),
                                 ASCENT_NEAR, "Auto-PGD in NumPy, autograd")
        if normalize:  # the callback has no gradients of normalized losses
            continue
        table.compare(name, s.name, found[name][0], with_library(small, radius), SAME_STEPS,
                      "Auto-PGD in NumPy, the library's gradients")
        for share in 0.25, 1, 4:
            table.compare_with_error(
                f"{name}, radius {share * radius:g}, two groups", s.name, in_groups(share * radius),
                mean_and_error([with_library(index, share * radius) for index in few]), SAME_STEPS,
                "Auto-PGD in NumPy, the library's gradients")


def compare_mean_rises(s, table):
    kinds = [(shape, kind) for shape in SHAPES for kind in KINDS]
    names = [f"sharpness_{shape}_average{kind}" for shape, kind in kinds]
    found, w = s.measurements(SMALL, names), s.flat().astype(float)
    small, few = groups_of(SMALL, SMALL, SMALL), groups_of(s.large, FEW, GROUP)
    random = np.random.default_rng(2)

    def point(shape, draw):
        """Random numbers of a draw; None: of another generator."""
        if draw is None:
            return random.normal(size=len(w)) if shape == "ball" else random.uniform(-1, 1, len(w))
        if shape == "ball":
            return random_normal(SEED, IN_BALL + draw, np.arange(len(w)))
        return 2 * random_uniform(SEED, IN_BALL + draw, np.arange(len(w))) - 1

    def rises(index, shape, kind, draws):
        adaptive, normalize = KINDS[kind]
        c, radius = np.abs(w) if adaptive else 1, RADIUS[shape + "_average"]
        base = s.moved(w).loss(s.x[index], s.y[index], normalize)
        return [s.moved(w + radius * c * point(shape, draw)).loss(s.x[index], s.y[index], normalize)
                - base for draw in draws]
    for name, (shape, kind) in zip(names, kinds):
        table.compare(name, s.name, found[name][0], np.mean(rises(small[0], shape, kind, range(20))),
                      TWIN, "the twin, the same 20 draws")
        if s.family == "nin":
            other = rises(small[0], shape, kind, [None] * 80)
            error = np.std(other, ddof=1) * math.sqrt(1 / 20 + 1 / len(other))
            table.compare(f"{name}, in standard errors", s.name, found[name][0], np.mean(other), 4,
                          f"the twin, {len(other)} other draws", error)
    ours = ball(s, s.large, radius=RADIUS["box_average"], shape=1, adaptive=1, average=1,
                samples=FEW, group=GROUP, draws=3)
    table.compare_with_error(
        "prun_ball_sharpness, mean in the adaptive box, two groups", s.name, ours, mean_and_error(
            [np.mean(rises(index, "box", "_adaptive", range(3 * k, 3 * k + 3)))
             for k, index in enumerate(few)]), TWIN, "the twin, the same draws")
    s.fast.write(w)


def compare_authors_ascent(s, table, authors):
    """Their eval_APGD_sharpness, on groups of the same samples. It bisects to 1e-5 of the norm."""
    batches = [(s.x[i].to(s.fast.dtype), None, s.y[i], None, None)
               for i in map(torch.as_tensor, groups_of(s.large, FEW, GROUP))]
    for shape, norm in zip(SHAPES, ("l2", "linf")):
        for adaptive in 0, 1:
            for radius in RADIUS[shape] / LESS[shape], RADIUS[shape]:
                ours, _ = ball(s, s.large, radius=radius, shape=SHAPES.index(shape), samples=FEW,
                               group=GROUP, adaptive=adaptive)
                with contextlib.redirect_stdout(io.StringIO()), \
                        mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
                    theirs = authors.eval_APGD_sharpness(
                        s.fast.model, batches, F.cross_entropy, 0, 0, rho=radius, n_iters=20,
                        n_restarts=1, rand_init=False, adaptive=bool(adaptive), norm=norm)[0]
                s.fast.write(s.flat())
                table.compare(f"prun_ball_sharpness, {shape}{' adaptive' * adaptive}, radius "
                              f"{radius:g}", s.name, ours, theirs,
                              ASCENT if radius == RADIUS[shape] else ASCENT_NEAR,
                              "the authors' code")


# ---- modules, signs ------------------------------------------------------------------------------


def modules(s):
    """Where each module begins and ends in the vector of parameters."""
    ends = np.cumsum([0] + [len(view) for view in s.views])
    begins = [ends[i] for i, t in enumerate(s.tensors) if t.flags & 1]
    begins[0] = 0
    return list(zip(begins, begins[1:] + [ends[-1]]))


def compare_reinitialization(s, table):
    x, y, w = s.x[:SMALL], s.y[:SMALL], s.flat()
    errors, bounds = np.empty(s.c.prun_module_count(ctypes.byref(s.objective[SMALL]))), []
    s.call("prun_reinitialization_errors", s.objective[SMALL], errors)
    for begin, end in modules(s):
        flat = w.copy()
        flat[begin:end] = s.initial_flat[begin:end]
        bounds.append(np.array(wrong_answers(s.moved(flat).logits(x), y)) / SMALL)
    s.fast.write(w)
    low, high = np.transpose(bounds)
    table.compare("prun_reinitialization_errors", s.name, errors, np.clip(errors, low, high), 1e-12,
                  "the twin with initial values, module by module")
    found = s.measurements(SMALL, ["reinitialization_error"])["reinitialization_error"][0]
    table.compare("reinitialization_error", s.name, found,
                  np.clip(found, low.mean(), high.mean()), 1e-12, "the same, mean over modules")


def criticality(s, begin, end, wrong):
    """The search of the header: an alpha is only searched if some sigma would beat the best ratio
    so far and the smallest of these is allowed. Bisection assumes that every sigma below an
    allowed one is allowed. `wrong` counts errors with other parameters of the module. Also returns
    a function for the minimum over all pairs, and whether the assumption of bisection holds."""
    w, w0 = s.flat()[begin:end].astype(float), s.initial_flat[begin:end].astype(float)
    noise = [random_normal(SEED, IN_MODULE + draw, np.arange(begin, end)) for draw in range(DRAWS)]
    limit = (wrong(w) + 0.1 * SMALL + 1e-9) * DRAWS
    alphas, sigmas = np.arange(1, 11) / 10, 2.0 ** (-np.arange(41) / 4)
    distance = ((w - w0) ** 2).sum()

    @functools.lru_cache(None)
    def allows(alpha, sigma):
        total = 0
        for u in noise:
            total += wrong(w0 + alpha * (w - w0) + sigma * u)
            if total > limit:
                return False
        return True

    def over_all_pairs():
        fits = np.array([[allows(alpha, sigma) for sigma in sigmas] for alpha in alphas])
        least = (alphas[:, None] / sigmas)[fits].min() if fits.any() else math.inf
        return least ** 2 * distance, not (np.diff(fits.astype(int), axis=1) < 0).any()
    best = math.inf
    for alpha in alphas:
        rest = [sigma for sigma in sigmas if alpha / sigma < best]
        if rest and allows(alpha, rest[-1]):
            low, high = len(rest) - 1, -1
            while low - high > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if allows(alpha, rest[middle]) else (low, middle)
            best = alpha / rest[low]
    return best ** 2 * distance, over_all_pairs


def compare_criticality(s, table, places):
    x, y, w = s.x[:SMALL], s.y[:SMALL], s.flat()
    spans = modules(s)
    values = np.empty(len(spans))
    options = s.binding.make("prun_criticality_options", draws=DRAWS, seed=SEED)
    s.call("prun_criticality", s.objective[SMALL], options, values)
    found = s.measurements(SMALL, ["network_criticality"])["network_criticality"][0]
    table.compare("network_criticality", s.name, found, values.sum(), 1e-12,
                  "sum of prun_criticality")
    features, labels = places["last"][:SMALL].numpy(), y.numpy()

    def wrong_of_last(part):
        part = part.astype(np.float32).astype(float)
        f = features @ part[:-CLASSES].reshape(CLASSES, -1).T + part[-CLASSES:]
        return (f.argmax(1) != labels).sum()
    value, over_all_pairs = criticality(s, *spans[-1], wrong_of_last)
    table.compare("prun_criticality, last module", s.name, values[-1], value, ARRAYS,
                  "the search of the header, errors from the twin's features")
    least, plain = over_all_pairs()
    table.check(least <= value * (1 + ARRAYS), f"{s.name}: criticality below the least of all pairs")
    if plain:
        table.compare("prun_criticality, last module", s.name, values[-1], least, ARRAYS,
                      "least of all 410 pairs, errors from the twin's features")
    if s.family == "nin":
        wanted = []
        for begin, end in spans:
            def wrong(part):
                flat = w.astype(float)
                flat[begin:end] = part
                return wrong_answers(s.moved(flat).logits(x), y, 0)[1]
            wanted.append(criticality(s, begin, end, wrong)[0])
        s.fast.write(w)
        table.compare("prun_criticality, all modules", s.name, values, wanted, ARRAYS,
                      "the search of the header, the twin's errors")
        table.compare("network_criticality", s.name, found, np.sum(wanted), ARRAYS, "their sum")


def compare_sign_flips(s, table):
    """The loss is a step function of the fraction: a sign flips if it exceeds its number."""
    x, y, w = s.x[:SMALL], s.y[:SMALL], s.flat()
    weight = np.concatenate([np.full(len(v), bool(t.flags & 1)) for v, t in zip(s.views, s.tensors)])
    numbers = [random_uniform(SEED, PERTURB + draw, np.arange(weight.sum()))
               for draw in range(DRAWS)]

    def loss_at(share):
        losses = []
        for number in numbers:
            flat = w.copy()
            flat[weight] *= np.where(number < share, np.float32(-1), np.float32(1))
            losses.append(s.moved(flat).loss(x, y))
        return np.mean(losses)
    share = s.measurements(SMALL, ["sign_flip_fraction"])["sign_flip_fraction"][0]
    shares, losses = np.array([share, share * 1.01]), np.empty(2)
    options = s.binding.make("prun_perturb_options", noise=4, draws=DRAWS, seed=SEED)
    s.call("prun_perturbation_curve", s.objective[SMALL], shares, 2, options, losses, None, None)
    table.compare("prun_perturbation_curve of flips", s.name, losses, [loss_at(p) for p in shares],
                  ROUNDED, "the twin, the same flips")
    limit = 1.1 * loss_at(0)
    table.check(loss_at(share) <= limit * (1 + ROUNDED), f"{s.name}: sign_flip_fraction {share!r}")
    after = [p for p in np.sort(np.concatenate(numbers)) if share <= p < 1.05 * share]
    first = next((p for p in after if loss_at(np.nextafter(p, 1)) > limit), math.nan)
    s.fast.write(w)
    table.compare("sign_flip_fraction", s.name, share, first, 0.01,
                  "first share above at which the twin's loss is too large")


# ---- all of it -----------------------------------------------------------------------------------


def load_images(folder):
    """Noise breaks ties of max pooling on empty background, whose gradients would be arbitrary."""
    (x, y), _ = from_pytorch.load_data(folder)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return (x + 0.5 * noise).numpy(), y.numpy()


def print_table(rows):
    print("| measure | network | ours | oracle | relative difference | what the oracle was |\n"
          "|---|---|---|---|---|---|")
    for measure, network, ours, oracle, relative, how in rows:
        print(f"| {measure} | {network} | {ours:.9g} | {oracle:.9g} | {relative:.2g} | {how} |")
    print()


def main():
    torch.set_num_threads(1)
    library = prunability.load_library(sys.argv[1])
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library.c, name)
        function.restype, function.argtypes = result, arguments
    table = Comparisons()
    try:
        scikit = importlib.import_module("sklearn.metrics")
    except ImportError as error:
        print(f"skip scikit-learn's Davies-Bouldin index: {error} (apt-get install python3-sklearn)")
        scikit, table.skipped = None, 1
    sys.path[:0] = sys.argv[3:]
    authors = importlib.import_module("sharpness") if len(sys.argv) > 3 else None
    compare_random_numbers(library.c, table)
    x, y = load_images(sys.argv[2])
    for family in FAMILIES:
        s = Subject(library, family, x, y)
        before, places = s.flat(), s.exact.places(s.x)
        print(f"{s.name}: {len(before)} parameters, loss {s.exact.loss(s.x, s.y):.4g}, "
              f"{wrong_answers(s.exact.logits(s.x), s.y)[1]} of {s.large} wrong", flush=True)
        compare_gradients(s, table)
        compare_disagreement(s, table)
        compare_flatness(s, table, places)
        compare_clusters(s, table, places, scikit)
        compare_mixup(s, table)
        compare_margins(s, table)
        compare_sensitivity(s, table)
        compare_largest_rises(s, table)
        compare_mean_rises(s, table)
        if authors:
            compare_authors_ascent(s, table, authors)
        compare_reinitialization(s, table)
        compare_criticality(s, table, places)
        compare_sign_flips(s, table)
        table.check(np.array_equal(before, s.flat()), f"{s.name}: parameters are as they were")
        s.free()
    print()
    print_table(table.rows)
    print(f"recent: {table.passed} passed, {table.failed} failed"
          + (f", {table.skipped} skipped" if table.skipped else ""))
    return table.failed > 0


if __name__ == "__main__":
    sys.exit(main())
