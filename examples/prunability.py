"""prunability.py - every measure of prunability.h for PyTorch models and NumPy networks.

    from prunability import measure, prunability, loss_curve, hessian

    result = measure(model, loader)        # loader: batches (inputs, labels) of the training set
    print(result)                          # a table of all measures
    result["prunability"].value            # one of them

Copy this file and prunability.h beside your script, or put the project's examples folder on
PYTHONPATH. It needs NumPy and, for PyTorch models, torch. The C library is found beside this file
or in the project's build folder; otherwise one `cc` command builds it once, from prunability.h, in
a cache folder (see `load_library`).

    measure             all generalization measures, or some of them
    measures            their names
    prunability         the smallest fraction of weights that keeps the loss within a tolerance
    loss_curve          loss and error rate at every kept fraction
    prune_scores        scores by which these two functions can rank the weights
    perturbation_radius, sharpness_radius
    hessian             eigenvalues, trace, spectral density, effective dimensionality
    hessian_diagonal    the diagonal of the Hessian
    evaluate            which measure follows the generalization gap, over a table of models

Models. `model` is any torch.nn.Module, measured in eval mode. Its trained parameters are those with
requires_grad. float32 parameters on the CPU are changed in place, without copies; parameters of
other types, on other devices or with other strides are copied to float32 and written back when the
library changes them. On every exit path, weights, buffers, training flags, gradients and random
states are restored bit for bit; exceptions of the model and Ctrl-C are passed on unchanged.

Measures of representations use the first and the last convolution or pooling modules that a forward
pass calls, and the input of an nn.Linear that computes the logits. Mixup needs floating-point
inputs.

Only one thread at a time can measure a model; several threads need copies of it.

Data. `loader` is a DataLoader or any iterable of batches, a Dataset, or a pair of tensors. A batch
is (inputs..., target), or a dictionary with the target under "labels", "label" or "target". It is
read once, in order, and kept in memory. If it shuffles or augments, the samples of that pass are
the training set of the measures.

For a network that is not made with PyTorch, make an Objective from NumPy arrays and a function that
returns losses, and pass it in place of the model; no loader is needed then.
"""
import collections
import collections.abc
import contextlib
import ctypes
import difflib
import fnmatch
import hashlib
import math
import os
import platform
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

__all__ = ["measure", "measures", "prunability", "loss_curve", "prune_scores", "perturbation_radius",
           "sharpness_radius", "hessian", "hessian_diagonal", "evaluate", "Objective", "Tensor",
           "load_library", "Error", "LibraryError"]

VERSION = "1.0.2"  # version of the library that this file needs


class Error(RuntimeError):
    """A call of the library failed; the message says why. `status` is its status code."""

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class LibraryError(ImportError):
    """The library is missing, cannot be built, or does not match this file."""


# ---- the library: finding, building, checking ----------------------------------------------------

HERE = os.path.dirname(os.path.abspath(__file__))
FILE_NAMES = {"Darwin": "libprunability.dylib", "Windows": "prunability.dll"}
FILE_NAME = FILE_NAMES.get(platform.system(), "libprunability.so")

# The fields that this file reads or writes, with their expected types. Offsets come from the
# library itself.
USED_FIELDS = """
    prun_context.threads: int64_t
    prun_context.status: prun_status
    prun_context.message: char[256]
    prun_tensor.data: float *
    prun_tensor.name: const char *
    prun_tensor.shape: int64_t[PRUN_MAX_RANK]
    prun_tensor.rank: int32_t
    prun_tensor.flags: uint32_t
    prun_objective.context: prun_context *
    prun_objective.tensors: const prun_tensor *
    prun_objective.tensor_count: int64_t
    prun_objective.initial: const prun_tensor *
    prun_objective.samples: int64_t
    prun_objective.classes: int64_t
    prun_objective.nonnegative: int32_t
    prun_objective.loss: prun_status (*)(const prun_objective *, const int64_t *, int64_t,
        double *, double *, int64_t *)
    prun_objective.gradient: prun_status (*)(const prun_objective *, const int64_t *, int64_t,
        float *, double *)
    prun_objective.hessian_vector: prun_status (*)(const prun_objective *, const int64_t *,
        int64_t, const float *, float *)
    prun_objective.logits: prun_status (*)(const prun_objective *, const int64_t *, int64_t,
        float *)
    prun_objective.labels: const int32_t *
    prun_objective.features: int64_t[PRUN_PLACES]
    prun_objective.representation: prun_status (*)(const prun_objective *, prun_place,
        const int64_t *, int64_t, float *)
    prun_objective.mixed_logits: prun_status (*)(const prun_objective *, const int64_t *,
        const int64_t *, int64_t, float *)
    prun_measure_info.name: const char *
    prun_measure_info.source: const char *
    prun_measure_info.what: const char *
    prun_measure_info.family: const char *
    prun_measure_info.direction: int32_t
    prun_measure_info.needs: uint32_t
    prun_measure_result.value: double
    prun_measure_result.standard_error: double
    prun_measure_result.seconds: double
    prun_measure_result.status: prun_status
    prun_measure_result.message: char[200]
    prun_measure_options.fractions: const double *
    prun_measure_options.fraction_count: int64_t
    prun_measure_options.history: const prun_epoch *
    prun_measure_options.epochs: int64_t
    prun_measure_options.seconds: double (*)(void *)
    prun_measure_options.progress: int (*)(void *, int64_t, int64_t)
    prun_epoch.loss: double
    prun_prune_options.method: prun_prune_method
    prun_prune_options.scope: prun_prune_scope
    prun_prune_options.include_biases: int32_t
    prun_prune_options.include_norms: int32_t
    prun_prune_options.score: const float *
    prun_prune_options.grid: int64_t
    prun_prune_options.fractions: const double *
    prun_prune_options.fraction_count: int64_t
    prun_prune_options.progress: int (*)(void *, int64_t, int64_t)
    prun_prunability.base_loss: double
    prun_prunability.prunable: int64_t
    prun_prunability.answer_count: int64_t
    prun_prunability.answer: prun_prunability_answer[PRUN_MAX_BETAS]
    prun_prunability.passes: double
    prun_prunability_answer.beta: double
    prun_prunability_answer.threshold: double
    prun_prunability_answer.kept_fraction: double
    prun_prunability_answer.kept: int64_t
    prun_prunability_answer.loss: double
    prun_prunability_answer.lower: double
    prun_prunability_answer.upper: double
    prun_prunability_answer.standard_error: double
    prun_perturb_options.noise: prun_noise
    prun_perturb_options.progress: int (*)(void *, int64_t, int64_t)
    prun_radius.state: prun_radius_state
    prun_radius.radius: double
    prun_radius.standard_error: double
    prun_radius.flatness: double
    prun_radius.base: double
    prun_radius.threshold: double
    prun_radius.reached: double
    prun_radius.passes: double
    prun_hessian_options.index: const int64_t *
    prun_hessian_options.samples: int64_t
    prun_hessian_options.scope: prun_hessian_scope
    prun_hessian_options.smallest: int32_t
    prun_hessian_options.progress: int (*)(void *, int64_t, int64_t)
    prun_estimate.value: double
    prun_estimate.error: double
    prun_spectrum.parameters: int64_t
    prun_spectrum.probes: int64_t
    prun_spectrum.steps: int64_t
    prun_spectrum.values: double *
    prun_spectrum.weights: double *
    prun_spectrum.diagonal: double *
    prun_spectrum.couplings: double *
    prun_spectrum.context: prun_context *
    prun_spectrum.difference_error: double
    prun_spectrum.difference_noise: double
    prun_effective_dimension.estimate: prun_estimate
    prun_score_options.include_biases: int32_t
    prun_score_options.include_norms: int32_t
    prun_score_options.index: const int64_t *
    prun_score_options.samples: int64_t
    prun_score_options.progress: int (*)(void *, int64_t, int64_t)
    prun_kendall.tau_a: double
    prun_kendall.tau_b: double
    prun_kendall.p: double
    prun_axes.n: int64_t
    prun_axes.count: int64_t
    prun_axes.values: const double *const *
    prun_axes.seed: const double *
    prun_granulated.psi: double[PRUN_MAX_AXES]
    prun_granulated.mean: double
    prun_cmi.k: double
    prun_sample.n: int64_t
    prun_sample.measure: const double *
    prun_sample.target: const double *
    prun_sample.cluster: const double *
    prun_resampling_options.resamples: int64_t
    prun_resampling_options.level: double
    prun_resampling_options.seed: uint64_t
    prun_interval.lower: double
    prun_interval.upper: double
"""

_I32, _I64, _F64, _PTR, _STR = (ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p,
                                ctypes.c_char_p)
_SCALARS = {"char": ctypes.c_char, "int": ctypes.c_int, "float": ctypes.c_float, "double": _F64,
            "int32_t": _I32, "int64_t": _I64, "uint8_t": ctypes.c_uint8,
            "uint16_t": ctypes.c_uint16, "uint32_t": ctypes.c_uint32, "uint64_t": ctypes.c_uint64}

_FUNCTIONS = {  # result, arguments
    "prun_version": (_STR, []),
    "prun_fields": (_PTR, [_PTR]),
    "prun_struct_size": (_I64, [_STR]),
    "prun_measures": (_PTR, [_PTR]),
    "prun_measurement_create": (ctypes.c_int, [_PTR] * 3),
    "prun_measurement_free": (None, [_PTR]),
    "prun_measure": (ctypes.c_int, [_PTR, _STR, _PTR]),
    "prun_prunability_search": (ctypes.c_int, [_PTR] * 3),
    "prun_loss_curve": (ctypes.c_int, [_PTR] * 4),
    "prun_prune_scores": (ctypes.c_int, [_PTR, ctypes.c_int, _PTR, _PTR]),
    "prun_perturbation_radius": (ctypes.c_int, [_PTR] * 3),
    "prun_sharpness_radius": (ctypes.c_int, [_PTR] * 3),
    "prun_hessian_size": (ctypes.c_int, [_PTR] * 3),
    "prun_hessian_eigenpairs": (ctypes.c_int, [_PTR, _I64] + [_PTR] * 4),
    "prun_hessian_trace": (ctypes.c_int, [_PTR] * 4),
    "prun_hessian_diagonal": (ctypes.c_int, [_PTR] * 4),
    "prun_hessian_spectrum": (ctypes.c_int, [_PTR] * 3),
    "prun_spectrum_free": (None, [_PTR]),
    "prun_spectrum_density": (ctypes.c_int, [_PTR, _PTR, _I64, _F64, _PTR, _PTR]),
    "prun_effective_dimensionality": (ctypes.c_int, [_PTR, _F64, _PTR]),
    "prun_kendall_tau": (ctypes.c_int, [_PTR] * 3 + [_I64, _PTR]),
    "prun_granulated_kendall": (ctypes.c_int, [_PTR] * 5),
    "prun_conditional_information": (ctypes.c_int, [_PTR] * 4 + [ctypes.c_int, _PTR]),
    "prun_bootstrap": (ctypes.c_int, [_PTR] * 4),
}


def _say(text):
    print(f"prunability: {text}", file=sys.stderr, flush=True)


def _build(header):
    """Path of the shared library for this header, which is built unless it is in the cache."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-shared", "-fPIC", "-O2", "-DPRUNABILITY_IMPLEMENTATION", "-x", "c"]
    with open(header, "rb") as file:
        machine = platform.system(), platform.machine(), platform.libc_ver()
        key = hashlib.sha256(file.read() + repr((compiler, flags, machine)).encode())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(cache, "prunability")
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except OSError:
        user = getattr(os, "getuid", lambda: 0)()  # Windows has none, and calls every owner 0
        folder = os.path.join(tempfile.gettempdir(), f"prunability-{user}")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.stat(folder).st_uid != user:
            raise LibraryError(f"{folder} belongs to another user; set XDG_CACHE_HOME") from None
    path = os.path.join(folder, f"{key.hexdigest()[:16]}-{FILE_NAME}")
    if os.path.exists(path):
        return path
    # Built under a unique name first, because several processes may build at once.
    unfinished = f"{path}.{os.getpid()}.tmp"
    command = compiler + flags + [header, "-o", unfinished, "-lm"]
    _say(f"building the library once, which takes about ten seconds: {shlex.join(command)}")
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode:
            raise LibraryError(f"the library does not compile:\n{done.stderr[-2000:]}")
        os.replace(unfinished, path)
    except FileNotFoundError:
        raise LibraryError(f"there is no C compiler {compiler[0]!r} to build the library with; "
                           "install one (apt-get install gcc), or set CC or PRUNABILITY_LIBRARY"
                           ) from None
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)
    return path


def _find_library():
    """Path of the library."""
    named = os.environ.get("PRUNABILITY_LIBRARY")
    if named:
        return named
    root = os.path.dirname(HERE)
    for path in (os.path.join(HERE, FILE_NAME), os.path.join(root, "build", FILE_NAME)):
        if os.path.exists(path):
            return path
    for folder in (HERE, root):
        header = os.path.join(folder, "prunability.h")
        if os.path.exists(header):
            return _build(header)
    raise LibraryError(f"neither {FILE_NAME} nor prunability.h is beside {__file__}; copy the "
                       "header there, or set PRUNABILITY_LIBRARY to the shared library")


def _split_type(text):
    """Element type of a field, and whether it is an array."""
    if text == "const char *":
        return "string", False
    if "*" in text:
        return "pointer", text.rstrip().endswith("]")
    base, bracket, _ = text.partition("[")
    return base.replace("const ", "").strip(), bool(bracket)


class Library:
    """The shared library, with a class for each of its structs, laid out as the library reports."""

    def __init__(self, path):
        self.path = path
        try:
            self.c = ctypes.CDLL(os.path.abspath(path))
        except OSError as error:
            raise LibraryError(f"{path} is not a library for this machine: {error}") from None
        for name, (result, arguments) in _FUNCTIONS.items():
            try:
                function = getattr(self.c, name)
            except AttributeError:
                self._refuse(f"has no function {name}")
            function.restype, function.argtypes = result, arguments
        version = self.c.prun_version().decode()
        if version != VERSION:
            self._refuse(f"is version {version}")
        self.types = {}    # struct -> field -> C type
        self.structs = {}  # struct -> class
        self._read_layout()
        for line in USED_FIELDS.replace(",\n       ", ",").strip().splitlines():
            place, _, wanted = line.strip().partition(": ")
            struct, _, field = place.partition(".")
            found = self.types.get(struct, {}).get(field)
            if found != wanted:
                self._refuse(f"has {place} as {found!r}, not {wanted!r}")

    def _refuse(self, what):
        raise LibraryError(f"{self.path} {what}; this prunability.py needs version {VERSION}. "
                           "Use both of the same version (make lib rebuilds the library)")

    def _read_layout(self):
        class Field(ctypes.Structure):
            _fields_ = [("structure", _STR), ("name", _STR), ("type", _STR), ("offset", _I64),
                        ("size", _I64)]
        if self.c.prun_struct_size(b"prun_field") != ctypes.sizeof(Field):
            self._refuse("describes its structs in another way")
        fields = {}
        for field in self.read_table(self.c.prun_fields, Field):
            name = field.structure.decode()
            fields.setdefault(name, []).append((field.name.decode(), field.type.decode(),
                                                field.offset, field.size))
        for name in fields:
            self._make_struct(name, fields)

    def _make_struct(self, name, fields):
        if name in self.structs:
            return self.structs[name]
        members = []
        for field, text, _, size in fields[name]:
            base, is_array = _split_type(text)
            if base in ("pointer", "string"):
                element = _PTR if base == "pointer" else _STR
            elif base in _SCALARS:
                element = _SCALARS[base]
            elif base in fields:
                element = self._make_struct(base, fields)
            else:
                element = ctypes.c_int  # an enumeration
            count = size // ctypes.sizeof(element)
            members.append((field, element * count if is_array else element))
        struct = type(name, (ctypes.Structure,), {"_fields_": members})
        for field, _, offset, size in fields[name]:
            place = getattr(struct, field)
            if (place.offset, place.size) != (offset, size):
                self._refuse(f"has {name}.{field} at byte {offset}, which Python would put at "
                             f"{place.offset}")
        if ctypes.sizeof(struct) != self.c.prun_struct_size(name.encode()):
            self._refuse(f"has a {name} of another size")
        self.structs[name] = struct
        self.types[name] = {field: text for field, text, _, _ in fields[name]}
        return struct

    @staticmethod
    def read_table(function, struct):
        """The array that a library function returns; its argument receives the length."""
        count = _I64()
        address = function(ctypes.byref(count))
        return (struct * count.value).from_address(address)

    def make(self, struct, **values):
        """A zeroed struct with these fields set."""
        made = self.structs[struct]()
        for name, value in values.items():
            setattr(made, name, value)
        return made


_library = None


def load_library(path=None):
    """Returns the library, loaded at the first call.

    Without a path, the first of these is used: the path in the environment variable
    PRUNABILITY_LIBRARY; libprunability.so beside this file; the one that `make lib` puts into the
    project's build folder; one built from prunability.h beside this file or in the folder above.
    """
    global _library
    if _library is None or (path and os.path.abspath(path) != os.path.abspath(_library.path)):
        _library = Library(path or _find_library())
    return _library


# ---- options: checked against the fields of the library's structs --------------------------------

_NAMES = {
    "prun_prune_method": ["magnitude", "random"],
    "prun_prune_scope": ["global", "per_layer"],
    "prun_noise": ["default", "magnitude", "squared", "gaussian", "sign_flip"],
    "prun_hessian_scope": ["weights", "all"],
}
_SCORES = ["magnitude", "taylor", "fisher", "curvature", "lamp", "random"]  # as in prun_score
# In the library, zero selects the default of every field. For these fields zero is useful itself,
# and is replaced by the smallest positive number.
_ZERO_COUNTS = {"beta", "epsilon"}
# Set by this file, not by its user.
_HIDDEN = {"history", "epochs", "seconds", "progress", "user", "beta_count", "index", "mask",
           "smallest", "score", "score_count", "fraction_count"}
# Fields of the struct that a function does not read.
_UNUSED = {"loss_curve": {"beta", "resamples"},
           "perturbation_radius": {"restarts", "steps", "batch"},
           "hessian_diagonal": {"steps"}}
# Arguments of the functions that are not fields.
_MODEL_OPTIONS = ("samples", "batch", "device", "loss", "nonnegative", "prunable", "initial",
                  "memory")
_OTHER_OPTIONS = {"measure": ("only", "skip", "history"),
                  "prunability": ("scores",), "loss_curve": ("scores",),
                  "prune_scores": ("score", "score_samples"),
                  "hessian": ("eigenvalues", "hessian_samples", "trace_probes"),
                  "hessian_diagonal": ("hessian_samples",)}


def _short(value):
    """A value for a message, in one line; of an array only type and shape."""
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, np.generic):
        return f"a {type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _closest(name, names):
    if not isinstance(name, str):
        return ""
    near = difflib.get_close_matches(name, [str(n) for n in names], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _matching(patterns, names, failure):
    """The names that match one or several patterns; `failure` begins the message if none does."""
    found = set()
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, collections.abc.Iterable) or \
            not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"{failure} {_short(patterns)}: a name or a list of names is needed")
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise ValueError(f"{failure} {pattern!r}{_closest(pattern, names)}")
        found.update(hits)
    return found


def _number(name, value, kind):
    """A Python number for a field of a C type."""
    wanted = "a number" if kind == "double" else "an integer"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={_short(value)}: must be {wanted}") from None
    if isinstance(value, str) or (kind != "double" and not number.is_integer()):
        raise TypeError(f"{name}={_short(value)}: must be {wanted}")
    if number == 0 and name in _ZERO_COUNTS:
        return sys.float_info.min
    if kind == "double":
        return number
    if kind in _SCALARS and _SCALARS[kind](int(value)).value != int(value):
        raise ValueError(f"{name}={value!r}: does not fit into {kind}")
    return int(value)


def _numbers_of(name, value):
    """A row of doubles."""
    try:
        numbers = np.array(value, np.float64)
    except (TypeError, ValueError):
        numbers = None
    if numbers is None or numbers.ndim != 1 or not numbers.size:
        raise TypeError(f"{name}={_short(value)}: must be a list of numbers")
    return numbers


def _set_options(library, struct, function, given):
    """The struct with the options that the user gave by keyword."""
    types = library.types[struct]
    unread = _UNUSED.get(function, set())
    renamed = {"step_batch": "batch"} if "batch" in types and "batch" not in unread else {}
    unwanted = {*_HIDDEN, *unread, *renamed.values()}
    allowed = [name for name in [*types, *renamed] if name not in unwanted]
    options = library.make(struct)
    for name, value in given.items():
        if name not in allowed:
            known = sorted({*allowed, *_MODEL_OPTIONS, *_OTHER_OPTIONS.get(function, ()),
                            "progress"})
            raise TypeError(f"{function}() has no option {name!r}{_closest(name, known)}. "
                            f"It has: {', '.join(known)}")
        name = renamed.get(name, name)
        base, is_array = _split_type(types[name])
        if name == "fractions":
            if value is not None:
                # kept in memory as long as the struct
                options.kept_fractions = numbers = _numbers_of(name, value)
                options.fractions, options.fraction_count = numbers.ctypes.data, numbers.size
        elif base in _NAMES:
            if not isinstance(value, str) or value not in _NAMES[base]:
                raise ValueError(f"{name}={_short(value)}: must be one of {', '.join(_NAMES[base])}"
                                 f"{_closest(value, _NAMES[base])}")
            setattr(options, name, _NAMES[base].index(value))
        elif is_array:
            values = [value] if np.ndim(value) == 0 else list(value)
            room = getattr(options, name)
            if not 1 <= len(values) <= len(room):
                raise ValueError(f"{name}: {len(values)} values, 1 to {len(room)} are allowed")
            for i, item in enumerate(values):
                room[i] = _number(name, item, base)
        else:
            setattr(options, name, _number(name, value, base))
    return options


# ---- objectives: networks as the library takes them ----------------------------------------------

_KINDS = {"weight": 1, "bias": 2, "norm": 4, "other": 16}
_PLACES = ["early", "late", "last"]  # of representations, in the order of the library
_CALLBACK_FAILED, _CANCELLED, _UNSUPPORTED = -16, -17, -14
_OUT_OF_MEMORY = -2
_WRONG_UNKNOWN = -1
_NEEDS_HESSIAN, _NEEDS_NET = 4, 64
# Measures computed from the last layer's weight.
_OF_LAST_WEIGHT = {b"relative_flatness", b"relative_flatness_scaled"}
_NO_LAST_WEIGHT = "needs the last layer's weight among the trained weights, as the last of its size"
# Messages of the library on missing inputs, in terms of this file's arguments.
_MISSING = {
    "needs a prun_net": "needs a network made of the library's own layers",
    "the history of training is missing": "needs history=",
    "the initial weights are missing": "needs initial=",
    "the weight decay of training is not given (weight_decay)": "needs weight_decay=",
    "the history has no steps": "needs steps in history=: [dict(loss=..., steps=...), ...]",
    "the history has no gradient noise (noise_pairs of training)":
        "needs gradient_noise in history=",
    "the logits callback is missing": "needs logits: one output for each class, and cross-entropy",
    "the labels are missing": "needs one class for each sample",
    "the gradient callback is missing": "needs a gradient",
    "the representation callback is missing": "needs representations inside the model",
    "the mixed_logits callback is missing": "needs inputs that are all floating-point numbers",
    "the model has no such place: no convolution or pool is there":
        "needs a convolution or pooling module there that is called once",
    "the model has no such place: its last layer is not linear":
        "needs a last module that is nn.Linear and gives the logits",
    "no weight is the matrix of a linear last layer": _NO_LAST_WEIGHT,
    "ball: the gradient of normalized logits needs a prun_net":
        "needs a module of PyTorch or a network made of the library's own layers",
}

_LOSS = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _PTR, _I64, _PTR, _PTR, _PTR)
_GRADIENT = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _PTR, _I64, _PTR, _PTR)
_HESSIAN = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _PTR, _I64, _PTR, _PTR)
_LOGITS = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _PTR, _I64, _PTR)
_REPRESENTATION = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, ctypes.c_int, _PTR, _I64, _PTR)
_MIXED_LOGITS = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _PTR, _PTR, _I64, _PTR)
_PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, _PTR, _I64, _I64)
_CLOCK = ctypes.CFUNCTYPE(_F64, _PTR)

Tensor = collections.namedtuple("Tensor", "name array kind")
Tensor.__doc__ = """A parameter: its name, its float32 array, which the library changes in place,
and its kind.

Kinds: "weight" (kernels of linear layers and convolutions: prunable), "bias", "norm" (scales and
shifts of normalisations), "other" (embeddings, positions). The first axis of a weight is the
output.
"""


class _Undefined(Exception):
    """Raised by a callback that cannot give its result: only the current measure is undefined."""


def _check_status(status, context, what=""):
    """Raises the message of a call that failed."""
    if status:
        message = context.message.decode(errors="replace") or f"status {status}"
        raise Error(what + message, status)


def _array(address, count, ctype):
    """A flat NumPy array over memory of the library."""
    if not address or not count:
        return np.empty(0, ctype)
    return np.frombuffer((ctype * count).from_address(address), ctype)


def _pointer(callback):
    return ctypes.cast(callback, _PTR).value


class Objective:
    """A network of your own: arrays, and functions over samples that compute losses.

    tensors         list of Tensor, float32, C-contiguous, writable: the trained parameters
    loss            loss(index) -> losses, or (losses, wrong): a loss for each sample of the array
                    `index`, and how many of their answers are wrong
    samples         number of samples
    gradient        gradient(index) -> gradient of the summed loss, an array or one for each tensor
    hessian_vector  hessian_vector(index, v) -> Hessian of the summed loss times v; v, one array for
                    all tensors, is valid during the call only
    logits          logits(index) -> array of len(index) x classes
    labels          class of each sample, for margins
    nonnegative     True: no loss is below zero, so that searches may end early
    initial         arrays of the weights before training
    representation  representation(place, index) -> array of len(index) x places[place]: activations
                    of samples at a place inside the network
    places          number of features of each available place: "early" and "late", after one of the
                    first and one of the last convolutions or pools; "last", the input of a linear
                    last layer
    mixed_logits    mixed_logits(first, second) -> logits of the means of two samples' inputs

    Measures are undefined if a function that they need is not given. Losses are kept in double
    precision.
    """

    _busy = set()            # addresses of weights that a call is working on, of all objectives
    _busy_lock = threading.Lock()

    knows_wrong = True  # whether the loss function counts wrong answers
    in_callback = False
    error = None    # what a callback raised
    interrupts = 0  # how often Ctrl-C was pressed since the library was called

    def __init__(self, tensors, loss, samples, gradient=None, hessian_vector=None, logits=None,
                 labels=None, classes=0, nonnegative=False, initial=None, representation=None,
                 places=None, mixed_logits=None):
        self.lib = load_library()
        self.notes = []
        self.tensors = [Tensor(*tensor) for tensor in tensors]
        self.functions = loss, gradient, hessian_vector, logits, representation, mixed_logits
        self.samples, self.classes = int(samples), int(classes)
        # One thread: the work is done by the callbacks, which Python runs one at a time.
        self.context = self.lib.make("prun_context", threads=1)
        self._alive = []
        self._names = [str(tensor.name).encode() for tensor in self.tensors]
        made, views = self._make_tensors([tensor.array for tensor in self.tensors])
        self.views = views
        self.size = sum(view.size for view in views)
        o = self.c = self.lib.make(
            "prun_objective", context=ctypes.addressof(self.context),
            tensors=ctypes.addressof(made), tensor_count=len(self.tensors), samples=self.samples,
            classes=self.classes, nonnegative=int(bool(nonnegative)))
        if initial is not None:
            o.initial = ctypes.addressof(self._make_initial(initial))
        if labels is not None:
            labels = np.ascontiguousarray(labels, np.int32)
            if labels.shape != (self.samples,):
                raise ValueError(f"labels: {labels.shape}, one for each of the {self.samples} "
                                 "samples is needed")
            self._alive.append(labels)
            o.labels = labels.ctypes.data
        self._callback("loss", _LOSS, self._run_loss)
        if gradient:
            self._callback("gradient", _GRADIENT, self._run_gradient)
        if hessian_vector:
            self._callback("hessian_vector", _HESSIAN, self._run_hessian_vector)
        if logits:
            self._callback("logits", _LOGITS, self._run_logits)
        if representation:
            o.features[:] = self._features_of(places or {})
            self._callback("representation", _REPRESENTATION, self._run_representation)
        if mixed_logits:
            self._callback("mixed_logits", _MIXED_LOGITS, self._run_mixed_logits)

    def _make_tensors(self, arrays):
        """The library's tensors of these arrays, and flat views."""
        made = (self.lib.structs["prun_tensor"] * len(arrays))()
        views = []
        for struct, name, tensor, array in zip(made, self._names, self.tensors, arrays):
            if not (isinstance(array, np.ndarray) and array.dtype == np.float32 and
                    array.flags.c_contiguous and array.flags.writeable):
                raise TypeError(f"{tensor.name}: not a writable, C-contiguous float32 array")
            if tensor.kind not in _KINDS:
                raise ValueError(f"{tensor.name}: kind {tensor.kind!r} is not one of "
                                 f"{', '.join(_KINDS)}")
            shape = list(array.shape) or [1]
            while len(shape) > 4:  # a kernel of three dimensions is (out, in, h, w * d) here
                shape[-2:] = [shape[-2] * shape[-1]]
            struct.data, struct.name, struct.rank = array.ctypes.data, name, len(shape)
            struct.flags = _KINDS[tensor.kind]
            struct.shape[:len(shape)] = shape
            views.append(array.reshape(-1))
        self._alive += [made, arrays]
        return made, views

    @staticmethod
    def _features_of(places):
        """Numbers of features in the library's order of places; 0: there is no such place."""
        for place in places:
            if place not in _PLACES:
                raise ValueError(f"places: {place!r} is not one of {', '.join(_PLACES)}")
        return [int(places.get(place, 0)) for place in _PLACES]

    def _make_initial(self, initial):
        if len(initial) != len(self.tensors):
            raise ValueError(f"initial: {len(initial)} arrays for {len(self.tensors)} tensors")
        copies = [np.array(array, np.float32, order="C") for array in initial]
        for tensor, copy in zip(self.tensors, copies):
            if copy.shape != tensor.array.shape:
                raise ValueError(f"initial: {tensor.name} has shape {copy.shape}, the weights have "
                                 f"{tensor.array.shape}")
        return self._make_tensors(copies)[0]

    def _callback(self, name, kind, function):
        """Sets a callback of the objective. Its exceptions are kept and raised by `check`."""
        def guarded(_objective, *arguments):
            try:
                if self.error is not None:
                    return _CALLBACK_FAILED
                self.check_interrupt()
                self.in_callback = True
                function(*arguments)
                return 0
            except _Undefined as reason:
                self.context.status, self.context.message = _UNSUPPORTED, str(reason).encode()
                return _UNSUPPORTED
            except BaseException as error:  # must not travel through C
                self.error = error
                return _CALLBACK_FAILED
            finally:
                self.in_callback = False
        callback = kind(guarded)
        self._alive.append(callback)
        setattr(self.c, name, _pointer(callback))

    def _index(self, address, n):
        return _array(address, n, _I64).copy() if address else np.arange(n)

    def _losses(self, index, count_wrong):
        """Losses, and how many answers are wrong, or None if that is not known."""
        result = self.functions[0](index)
        return result if isinstance(result, tuple) else (result, None)

    def _gradient(self, index, add_up):
        """Gradient of the summed loss; with add_up also the sum, else None."""
        gradient = self._flat(self.functions[1](index), "gradient")
        return gradient, np.sum(self._losses(index, False)[0], dtype=np.float64) if add_up else None

    def _run_loss(self, index, n, losses, total, wrong):
        values, count = self._losses(self._index(index, n), bool(wrong))
        values = np.asarray(values, np.float64).reshape(-1)
        if values.size != n:
            raise ValueError(f"loss: {values.size} losses for {n} samples; one each is needed")
        if self.c.nonnegative and n and values.min() < 0:
            raise ValueError(f"loss: {values.min():.6g} is below zero, which nonnegative=True "
                             "rules out")
        if losses:
            _array(losses, n, _F64)[:] = values
        _F64.from_address(total).value = values.sum()
        if wrong:
            self.knows_wrong = count is not None
            _I64.from_address(wrong).value = int(count) if self.knows_wrong else _WRONG_UNKNOWN

    def _flat(self, parts, what):
        if isinstance(parts, (list, tuple)):
            sizes = [np.size(part) for part in parts]
            if sizes != [view.size for view in self.views]:
                raise ValueError(f"{what}: arrays of {sizes} numbers for tensors of "
                                 f"{[view.size for view in self.views]}")
        else:
            parts = [parts]
        flat = np.concatenate([np.asarray(part, np.float32).reshape(-1) for part in parts])
        if flat.size != self.size:
            raise ValueError(f"{what}: {flat.size} numbers for {self.size} parameters")
        return flat

    def _run_gradient(self, index, n, out, total):
        gradient, value = self._gradient(self._index(index, n), bool(total))
        _array(out, self.size, ctypes.c_float)[:] = gradient
        if total:
            _F64.from_address(total).value = value

    def _run_hessian_vector(self, index, n, v, out):
        v = _array(v, self.size, ctypes.c_float)
        _array(out, self.size, ctypes.c_float)[:] = self._flat(
            self.functions[2](self._index(index, n), v), "hessian_vector")

    @staticmethod
    def _put_rows(what, rows, shape, out):
        rows = np.asarray(rows, np.float32)
        if rows.shape != shape:
            raise ValueError(f"{what}: of shape {rows.shape}, should be {shape}")
        _array(out, rows.size, ctypes.c_float)[:] = rows.reshape(-1)

    def _run_logits(self, index, n, out):
        self._put_rows("logits", self.functions[3](self._index(index, n)), (n, self.classes), out)

    def _run_representation(self, place, index, n, out):
        rows = self.functions[4](_PLACES[place], self._index(index, n))
        self._put_rows("representation", rows, (n, self.c.features[place]), out)

    def _run_mixed_logits(self, first, second, n, out):
        logits = self.functions[5](self._index(first, n), self._index(second, n))
        self._put_rows("mixed_logits", logits, (n, self.classes), out)

    def undefined(self, name):
        """Why a measure that the library can compute has no meaning here; else None."""
        return None

    @contextlib.contextmanager
    def computing(self, name):
        """Context in which a measure is computed; yields the name that the library computes."""
        yield name

    def _to_library(self, i, value):
        """Numbers for each element of tensor i, in the library's order of axes."""
        value = np.asarray(value, np.float32)
        if value.shape != self.tensors[i].array.shape:
            raise ValueError(f"{self.tensors[i].name} has shape {self.tensors[i].array.shape}, not "
                             f"{value.shape}")
        return value

    def _from_library(self, i, value):
        """The inverse of _to_library."""
        return value

    def size_of(self, kinds):
        """Elements of the tensors of these kinds."""
        return sum(view.size for view, t in zip(self.views, self.tensors) if t.kind in kinds)

    def split(self, flat, kinds):
        """{name: array of its shape} from numbers for all tensors of these kinds."""
        found, at = {}, 0
        for i, tensor in enumerate(self.tensors):
            if tensor.kind in kinds:
                part = flat[at:at + tensor.array.size].reshape(tensor.array.shape)
                found[tensor.name] = np.array(self._from_library(i, part))
                at += part.size
        return found

    def join(self, what, values, kinds):
        """The inverse of `split`; `values` may be flat already."""
        if not isinstance(values, collections.abc.Mapping):
            try:
                flat = np.ascontiguousarray(values, np.float32)
            except (TypeError, ValueError):
                flat = None
            if flat is None or flat.shape != (self.size_of(kinds),):
                raise ValueError(f"{what}={_short(values)}: must be one number for each of the "
                                 f"{self.size_of(kinds)} prunable weights, or a dictionary from "
                                 "the names of their tensors")
            return flat
        wanted = [(i, t.name) for i, t in enumerate(self.tensors) if t.kind in kinds]
        names = [name for _, name in wanted]
        for name in values:
            if name not in names:
                raise ValueError(f"{what}: no tensor that can be pruned is called {name!r}"
                                 f"{_closest(name, names)}")
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"{what}: has none for {missing[0]}")
        parts = []
        for i, name in wanted:
            try:
                parts.append(self._to_library(i, values[name]).reshape(-1))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{what}: {error}") from None
        return np.concatenate(parts)

    def check_interrupt(self):
        """Raises KeyboardInterrupt if Ctrl-C was pressed while the library was at work."""
        if self.interrupts:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _catching_interrupts(self):
        """Ctrl-C ends the work at the next callback, so that the library and this file can restore
        everything; its usual handler runs only then. A second Ctrl-C runs it at once if a callback
        is running."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def interrupted(number, frame):
            self.interrupts += 1
            if self.interrupts > 1 and self.in_callback:
                before(number, frame)
        signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        except KeyboardInterrupt:
            if not self.interrupts or before is signal.default_int_handler:
                raise
        finally:
            signal.signal(signal.SIGINT, before)
        if self.interrupts:
            before(signal.SIGINT, None)
            raise Error("interrupted", _CANCELLED)

    @contextlib.contextmanager
    def _state_kept(self):
        """Restores at the end what the functions may change."""
        yield

    def _addresses(self):
        """Addresses of the weights that a call changes."""
        return {view.ctypes.data for view in self.views}

    @contextlib.contextmanager
    def _weights_reserved(self):
        """Two calls that change the same weights would both be wrong: the second is refused."""
        addresses = self._addresses()
        with self._busy_lock:
            if not self._busy.isdisjoint(addresses):
                raise RuntimeError("the weights of this model are being measured by another call; "
                                   "measure a copy of the model in each thread")
            self._busy.update(addresses)
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy.difference_update(addresses)

    @contextlib.contextmanager
    def running(self):
        """Context for all calls of the library with this objective."""
        self.error, self.interrupts, self.in_callback = None, 0, False
        with self._weights_reserved(), self._catching_interrupts(), self._state_kept():
            yield

    def close(self):
        """Releases functions and arrays, which form a reference cycle through the callbacks. The
        objective is unusable afterwards."""
        self._alive, self.functions = [], None

    def call(self, name, *arguments):
        """Calls a function of the library on this objective; raises an exception if it fails."""
        status = getattr(self.lib.c, name)(ctypes.byref(self.c), *arguments)
        self.check(status)

    def check(self, status):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.check_interrupt()  # a progress callback can end the work too
        _check_status(status, self.context)


def _progress(objective, show, label):
    """A progress callback: a line on the terminal, or a call of the user's function."""
    if not show or not (callable(show) or sys.stderr.isatty()):
        show = None
    state = {"label": label, "begin": time.monotonic(), "shown": 0.0}

    def report(_user, done, total):
        try:
            if objective.error is not None or objective.interrupts:
                return 1
            if callable(show):
                show(state["label"], done, total)
            elif show and time.monotonic() - state["shown"] > .2:
                state["shown"] = time.monotonic()
                seconds = int(state["shown"] - state["begin"])
                share = f" {100 * done // total} %" if total else ""
                sys.stderr.write(f"\r\033[K{state['label']}{share}  "
                                 f"{seconds // 60}:{seconds % 60:02d}")
                sys.stderr.flush()
            return 0
        except BaseException as error:  # of the user's function
            objective.error = error
            return 1

    def clear():
        if show and not callable(show):
            sys.stderr.write("\r\033[K")
    return _PROGRESS(report), state, clear


# ---- results -------------------------------------------------------------------------------------


def _table(header, rows, left):
    """Aligned columns, as the programs of the project print them; `left`: columns of text."""
    widths = [max(len(str(row[i])) for row in [header] + rows) for i in range(len(header))]
    lines = []
    for row in [header] + rows:
        cells = [str(cell).ljust(width) if i in left else str(cell).rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _frame(rows, index):
    try:
        import pandas
    except ImportError:
        raise ImportError("to_frame() makes a DataFrame of pandas, which is not installed; "
                          "to_dict() works without") from None
    return pandas.DataFrame(rows).set_index(index)


Measure = collections.namedtuple(
    "Measure", "value standard_error seconds direction note source description")
Measure.__doc__ = """One measure.

value: NaN if it is undefined, and the note says why. standard_error: NaN unless it is random.
direction: 1 if larger values should mean a larger generalization gap, -1 if a smaller one, 0 if its
source makes no claim.
"""


class _Results(collections.abc.Mapping):
    """A mapping from names to named tuples, which prints as a table."""

    def __init__(self, results, notes):
        self._results, self.notes = results, list(notes)

    def __getitem__(self, name):
        return self._results[name]

    def __iter__(self):
        return iter(self._results)

    def __len__(self):
        return len(self._results)

    def __repr__(self):
        return str(self)

    def to_dict(self):
        """{name: {field: ..., ...}}"""
        return {name: result._asdict() for name, result in self._results.items()}


class Measures(_Results):
    """Result of `measure`: a mapping from names to Measure, which prints as a table."""

    def __getitem__(self, name):
        try:
            return self._results[name]
        except KeyError:
            raise KeyError(f"{name!r} was not measured"
                           f"{_closest(str(name), list(self._results))}") from None

    def __str__(self):
        rows = []
        for name, m in self._results.items():
            rows.append([name, "undefined" if math.isnan(m.value) else f"{m.value:.7g}",
                         "" if math.isnan(m.standard_error) else f"{m.standard_error:.2g}",
                         "-?+"[m.direction + 1], f"{m.seconds:.3f}", m.source, m.note])
        header = ["measure", "value", "std. error", "dir.", "seconds", "source", "note"]
        table = _table(header, rows, {0, 5, 6})
        return "\n".join([table, "", "dir.: + larger values should mean a larger generalization "
                          "gap, - a smaller one."] + self.notes)

    def to_frame(self):
        """A DataFrame with a row for each measure; needs pandas."""
        return _frame([{"measure": name, **m._asdict()} for name, m in self._results.items()],
                      "measure")

    def to_row(self, **more):
        """{name: value} and the given fields of the model: a row of a table for `evaluate`."""
        return {**more, **{name: m.value for name, m in self._results.items()}}


Answer = collections.namedtuple(
    "Answer", "beta threshold kept_fraction kept loss lower upper standard_error")
Answer.__doc__ = """The answer for one tolerance.

lower, upper, standard_error: 95 % interval and standard error of kept_fraction, from resampling the
samples; NaN without resamples=.
"""


class Prunability:
    """Result of a search: `kept_fraction` of the first beta, and all `answers`."""

    def __init__(self, c, seconds, notes):
        # Every NaN is the same object, so that equal answers compare as equal.
        self.answers = [Answer(*(math.nan if value != value else value for value in (
            getattr(c.answer[i], name) for name in Answer._fields))) for i in range(c.answer_count)]
        self.kept_fraction = self.answers[0].kept_fraction
        self.base_loss, self.passes, self.prunable = c.base_loss, c.passes, c.prunable
        self.seconds, self.notes = seconds, list(notes)

    def __float__(self):
        return self.kept_fraction

    def __str__(self):
        lines = [f"prunability {a.kept_fraction:g} at beta {a.beta:g}: {a.kept} of {self.prunable} "
                 f"weights, loss {a.loss:.6g} (unpruned {self.base_loss:.6g})" +
                 ("" if math.isnan(a.lower) else f", 95 % interval {a.lower:g} to {a.upper:g}")
                 for a in self.answers]
        return "\n".join(lines + [f"{self.passes:.1f} passes, {self.seconds:.1f} s"] + self.notes)

    __repr__ = __str__


LossCurve = collections.namedtuple("LossCurve", "kept_fractions losses error_rates notes")
LossCurve.__doc__ = """Mean loss and error rate at kept fractions: arrays.

Error rates are NaN for a loss that counts no wrong answers.
"""

Radius = collections.namedtuple(
    "Radius",
    "radius standard_error flatness state base_loss threshold reached passes seconds notes")
Radius.__doc__ = """Largest perturbation that the loss tolerates, and flatness = 1 / radius^2.

state: "found"; "saturated" if even the largest radius allowed is tolerated; "none" if no radius is.
"""


Diagonal = collections.namedtuple("Diagonal", "values standard_errors seconds notes")
Diagonal.__doc__ = """Diagonal of the Hessian of the mean loss: {name: array of the tensor's shape}.

standard_errors: the same of the estimates; NaN with one probe.
"""


class Hessian:
    """Curvature of the mean loss: see `hessian`.

    eigenvalues, residuals   the largest ones, and how far each can be from an eigenvalue
    smallest                 the smallest one
    trace, trace_error       estimate, and its standard error
    parameters               size of the Hessian
    """

    def __init__(self, objective, eigenvalues, residuals, smallest, trace, spectrum, what):
        self.eigenvalues, self.residuals, self.smallest = eigenvalues, residuals, smallest
        self.trace, self.trace_error = trace.value, trace.error
        self.seconds, self.notes = 0.0, list(objective.notes)
        self.parameters = spectrum.parameters
        self.what = what
        # Copied to Python's own objects: nothing has to be freed, and all can be pickled.
        shape = spectrum.probes, spectrum.steps
        self._numbers = {name: getattr(spectrum, name)
                         for name in ("parameters", "probes", "steps", "difference_error",
                                      "difference_noise")}
        self._arrays = {name: _array(getattr(spectrum, name), math.prod(shape), _F64).reshape(shape)
                        .copy() for name in ("values", "weights", "diagonal", "couplings")}

    def _call(self, name, *arguments):
        """Calls a function of the library on the spectrum."""
        library = load_library()
        context = library.make("prun_context", threads=1)
        spectrum = library.make(
            "prun_spectrum", context=ctypes.addressof(context), **self._numbers,
            **{name: array.ctypes.data for name, array in self._arrays.items()})
        _check_status(getattr(library.c, name)(ctypes.byref(spectrum), *arguments), context)

    @property
    def ritz_values(self):
        """Nodes of the quadrature: an array of runs x steps."""
        return self._arrays["values"]

    @property
    def ritz_weights(self):
        """Weights of the nodes; those of a run add up to 1."""
        return self._arrays["weights"]

    def effective_dimensionality(self, z=1.0):
        """N_eff(z), the sum of e / (e + z) over positive eigenvalues e: (value, standard error).

        It comes from the Lanczos runs, as the measure effective_dimensionality_slq does.
        """
        if not z > 0:
            raise ValueError(f"z={_short(z)}: must be a positive number")
        result = load_library().make("prun_effective_dimension")
        self._call("prun_effective_dimensionality", float(z), ctypes.byref(result))
        return result.estimate.value, result.estimate.error

    def density(self, grid=None, bandwidth=0.0):
        """Spectral density at the points of `grid` [512 over the spectrum], smoothed by a Gaussian
        of this standard deviation [chosen by the library]: (grid, density, standard errors)."""
        if grid is None:
            low, high = self.ritz_values.min(), self.ritz_values.max()
            margin = .05 * (high - low) + 1e-12
            grid = np.linspace(low - margin, high + margin, 512)
        grid = np.ascontiguousarray(grid, np.float64)
        if grid.ndim != 1 or not grid.size:
            raise ValueError(f"grid: of shape {grid.shape}, should be one row of eigenvalues")
        density, errors = np.empty_like(grid), np.empty_like(grid)
        self._call("prun_spectrum_density", grid.ctypes.data, grid.size, float(bandwidth),
                   density.ctypes.data, errors.ctypes.data)
        return grid, density, errors

    def __str__(self):
        values = ", ".join(f"{value:.5g}" for value in self.eigenvalues)
        n, error = self.effective_dimensionality()
        return "\n".join([f"Hessian in {self.parameters} {self.what}",
                          f"largest eigenvalues       {values}",
                          f"smallest eigenvalue       {self.smallest:.5g}",
                          f"trace                     {self.trace:.5g} +- {self.trace_error:.2g}",
                          f"effective dimensionality  {n:.5g} +- {error:.2g} (z = 1)",
                          f"{self.seconds:.1f} s"] + self.notes)

    __repr__ = __str__


# ---- functions for users -------------------------------------------------------------------------

def _objective(function, model, loader, of_model, displacement, derivatives):
    """The objective of a model with the options `of_model`, or the model itself if it is one.
    derivatives: the order that is used; functions other than `measure` need at least a gradient."""
    if isinstance(model, Objective):
        given = [name for name, value in of_model.items() if value is not None]
        if loader is not None or given:
            raise TypeError(f"{function}(objective): has its samples and options already; "
                            f"{'a loader' if loader is not None else given[0]} cannot be given")
        objective = model
    else:
        objective = TorchObjective(model, loader, second_order=derivatives == 2, **of_model)
    if derivatives and function != "measure" and not objective.c.gradient:
        raise ValueError(" ".join([f"{function}() needs gradients."] + objective.notes))
    if displacement and not objective.knows_wrong:
        raise ValueError("displacement= is a rise of the error rate, which this loss does not have")
    return objective


@contextlib.contextmanager
def _at_work(objective, model, settings, show, label):
    """Context for calls of the library with progress; yields the state that progress shows. An
    objective that was made for this model is closed at the end."""
    report, state, clear = _progress(objective, show, label)
    settings.progress = _pointer(report)
    try:
        with objective.running():
            yield state
    finally:
        clear()
        if objective is not model:
            objective.close()


def _history(library, history):
    """An array of prun_epoch from mean losses, or from dictionaries of that struct's fields."""
    if not isinstance(history, collections.abc.Iterable) or isinstance(history, (str, dict)):
        raise TypeError(f"history={_short(history)}: must be a list of the epochs' mean losses, or "
                        "of dictionaries")
    history = list(history)
    epochs = (library.structs["prun_epoch"] * len(history))()
    fields = library.types["prun_epoch"]
    for i, (epoch, known) in enumerate(zip(epochs, history)):
        known = known if isinstance(known, dict) else {"loss": known}
        values = {"epoch": i + 1, "epochs": len(history), "gradient_noise": math.nan,
                  "evaluated_loss": math.nan, **known}
        for name, value in values.items():
            if name not in fields:
                raise TypeError(f"history: an epoch has no {name!r}{_closest(name, list(fields))}")
            setattr(epoch, name, _number(name, value, _split_type(fields[name])[0]))
    return epochs


def _infos(library):
    return library.read_table(library.c.prun_measures, library.structs["prun_measure_info"])


def measures():
    """{name: what it is} of all measures, in the order in which `measure` computes them."""
    return {info.name.decode(): info.what.decode() for info in _infos(load_library())}


def _choose(infos, only, skip):
    """Names of the measures that are wanted; patterns such as "pac_bayes*" and families such as
    "norms" are allowed."""
    names = [info.name.decode() for info in infos]
    families = collections.defaultdict(set)
    for info in infos:
        families[info.family.decode()].add(info.name.decode())
    failure = "no measure or family is called"
    everything = names + list(families)

    def chosen(patterns):
        found = _matching(patterns, everything, failure)
        return set().union(found & set(names), *(families[f] for f in found & set(families)))

    return (set(names) if only is None else chosen(only)) - (set() if skip is None else chosen(skip))


def measure(model, loader=None, only=None, skip=None, initial=None, history=None, samples=None,
            batch=256, device=None, loss="cross_entropy", prunable=None, progress=True,
            nonnegative=None, memory=4 << 30, **options):
    """All generalization measures of a model, or those in `only` without those in `skip`.

    model, loader   see the top of this file; loader None: `model` is an Objective
    only, skip      names, patterns or families: "prunability", ["sharpness*", "norms"];
                    skip=["effective*", "takeuchi*", "sharpness*", "prunability_random",
                    "network_criticality"] leaves out slow ones
    initial         copy.deepcopy(model.state_dict()) before training, for distances from it
    history         of the training: the epochs' mean losses, or dictionaries of prun_epoch's fields
    samples         number of samples to use, the first ones [all]
    batch           samples per forward pass
    device          where to run a copy of the model
    loss            "cross_entropy", "mse", "bce" (with logits), or a function (output, target) ->
                    one loss for each sample of the batch; with a function, searches end early only
                    if nonnegative=True
    prunable        which parameters are weights: a function (name, parameter) -> kind or bool, a
                    dictionary from names or patterns to kinds ("weight", "bias", "norm", "other"),
                    or a list of the weights' names or patterns
    progress        True: a line on the terminal; or a function (name, done, total)
    memory          maximal size of the samples in bytes
    options         fields of prun_measure_options: beta, grid or fractions (kept fractions of your
                    own), resamples (for standard errors of prunability), draws, hessian_samples,
                    seed, ...

    Returns Measures. A measure that is undefined says so in its note.
    """
    library = load_library()
    settings = _set_options(library, "prun_measure_options", "measure", options)
    infos = _infos(library)
    wanted = _choose(infos, only, skip)
    second = any(info.needs & _NEEDS_HESSIAN for info in infos if info.name.decode() in wanted)
    of_model = dict(initial=initial, samples=samples, batch=batch, device=device, loss=loss,
                    prunable=prunable, nonnegative=nonnegative, memory=memory)
    usual = dict(batch=256, loss="cross_entropy", memory=4 << 30)
    of_model = {name: value for name, value in of_model.items() if value != usual.get(name)}
    objective = _objective("measure", model, loader, of_model, options.get("displacement"),
                           2 if second else 1)
    notes = list(objective.notes)
    named = {only} if isinstance(only, str) else set(only or ())
    own = [info for info in infos if info.needs & _NEEDS_NET and info.name.decode() in
           wanted - named]
    if own:
        wanted -= {info.name.decode() for info in own}
        notes.append(f"{len(own)} measures need a network made of the library's own layers and are "
                     "left out.")
    if history is not None:
        epochs = _history(library, history)
        settings.history, settings.epochs = ctypes.addressof(epochs), len(epochs)
    clock = _CLOCK(lambda _user: time.perf_counter())
    settings.seconds = _pointer(clock)
    with _at_work(objective, model, settings, progress, "losses") as state:
        results = _measure_all(objective, settings,
                               [info for info in infos if info.name.decode() in wanted], state)
    return Measures(results, notes)


def _measure_all(objective, settings, infos, state):
    """One measure after the other, so that progress can name them."""
    library, results = objective.lib, {}
    measurement = _PTR()
    objective.call("prun_measurement_create", ctypes.byref(settings), ctypes.byref(measurement))
    try:
        for i, info in enumerate(infos):
            state["label"] = f"{info.name.decode()} ({i + 1} of {len(infos)})"
            found = _measure_one(objective, measurement, info.name)
            results[info.name.decode()] = Measure(
                *found[:3], info.direction, found[3], info.source.decode(), info.what.decode())
    finally:
        library.c.prun_measurement_free(measurement)
    return results


def _measure_one(objective, measurement, name):
    """Value, standard error, seconds and note of a measure."""
    reason = objective.undefined(name)
    if reason:
        return math.nan, math.nan, 0.0, reason
    result = objective.lib.make("prun_measure_result")
    with objective.computing(name) as computed:
        status = objective.lib.c.prun_measure(measurement, computed, ctypes.byref(result))
    if objective.error is not None or status in (_CALLBACK_FAILED, _CANCELLED, _OUT_OF_MEMORY):
        objective.check_interrupt()
        objective.check(status)
    note = result.message.decode(errors="replace")
    return result.value, result.standard_error, result.seconds, _MISSING.get(note, note)


def _search(function, struct, model, loader, options, work, show, label, derivatives=0):
    """Runs `work(objective, settings)` with the options that are not those of the model. Returns
    its result, the objective, and the seconds. derivatives: the order that it uses."""
    library = load_library()
    of_model = {name: options.pop(name) for name in _MODEL_OPTIONS if name in options}
    settings = _set_options(library, struct, function, options)
    objective = _objective(function, model, loader, of_model, options.get("displacement"),
                           derivatives)
    begin = time.perf_counter()
    with _at_work(objective, model, settings, show, label):
        result = work(objective, settings)
    return result, objective, time.perf_counter() - begin


def _prunable_kinds(settings):
    """Kinds of the tensors that are pruned."""
    return {"weight"} | ({"bias"} if settings.include_biases else set()) | \
        ({"norm"} if settings.include_norms else set())


def _rank_by(objective, settings, scores):
    """Gives the settings these scores, unless they are None."""
    if scores is not None:
        settings.kept_scores = objective.join("scores", scores, _prunable_kinds(settings))
        settings.score = settings.kept_scores.ctypes.data
        settings.score_count = settings.kept_scores.size


def prunability(model, loader=None, method="magnitude", scope="global", beta=0.1, grid=100,
                progress=True, scores=None, **options):
    """The smallest kept fraction i/grid whose loss is within (1 + beta) times the unpruned loss.

    method      "magnitude" or "random"; scope: "global" or "per_layer"
    beta        a tolerance, or up to eight of them, which one search answers
    scores      weights with the smallest score are pruned first, ties by magnitude. Either the
                result of `prune_scores`, or your own scores: a dictionary from the names of all
                prunable tensors to arrays, or one flat array
    options     of the model as in `measure`, and fields of prun_prune_options: fractions (your own
                kept fractions in ascending order, in place of i/grid), resamples (bootstrap
                resamples for an interval, usually 1000), repetitions, include_biases, ...

    Returns Prunability; float() of it is the measure for the first beta.
    """
    def work(objective, settings):
        result = objective.lib.make("prun_prunability")
        _rank_by(objective, settings, scores)
        objective.call("prun_prunability_search", ctypes.byref(settings), ctypes.byref(result))
        return result
    if isinstance(grid, (int, np.integer)) and grid == 0:  # the library's default
        raise ValueError("grid=0: must be a positive integer")
    options.update(method=method, scope=scope, beta=beta, grid=grid)
    result, objective, seconds = _search("prunability", "prun_prune_options", model, loader,
                                         options, work, progress, "prunability")
    return Prunability(result, seconds, objective.notes)


def loss_curve(model, loader=None, method="magnitude", scope="global", grid=100, progress=True,
               scores=None, **options):
    """Mean loss and error rate at every kept fraction: LossCurve. Options as in `prunability`."""
    def work(objective, settings):
        if settings.fractions:
            points = settings.kept_fractions.copy()
        else:
            points = np.arange(settings.grid + 1) / settings.grid
        losses, errors = np.empty(points.size), np.empty(points.size)
        _rank_by(objective, settings, scores)
        objective.call("prun_loss_curve", ctypes.byref(settings), losses.ctypes.data,
                       errors.ctypes.data)
        return LossCurve(points, losses, errors, list(objective.notes))
    if not isinstance(grid, (int, np.integer)) or grid < 1:
        raise ValueError(f"grid={grid!r}: must be a positive integer")
    options.update(method=method, scope=scope, grid=grid)
    return _search("loss_curve", "prun_prune_options", model, loader, options, work, progress,
                   "loss curve")[0]


def prune_scores(model, loader=None, score="fisher", score_samples=None, progress=True, **options):
    """Scores of the weights that can be pruned, for `scores` of `prunability` and `loss_curve`: a
    dictionary from the names of their tensors to float32 arrays.

    score           of a weight w: "magnitude" (|w|), "taylor" (|w g|, g the gradient of the mean
                    loss), "fisher" (w^2 times the mean of the squared gradients of single samples),
                    "curvature" (w^2 max(h, 0), h the diagonal of the Hessian), "lamp" (w^2 over the
                    sum of the squares in its tensor that are at least as large), or "random"
    score_samples   number of samples for gradients and curvature, the first ones [all]
    options         of the model as in `measure`, and fields of prun_score_options: include_biases,
                    include_norms, probes (products for curvature [10]), seed
    """
    def work(objective, settings):
        kinds = _prunable_kinds(settings)
        settings.samples = 0 if score_samples is None else _number("score_samples", score_samples,
                                                                   "int64_t")
        scores = np.empty(objective.size_of(kinds), np.float32)
        objective.call("prun_prune_scores", _SCORES.index(score), ctypes.byref(settings),
                       scores.ctypes.data)
        return objective.split(scores, kinds)
    if not isinstance(score, str) or score not in _SCORES:
        raise ValueError(f"score={_short(score)}: must be one of {', '.join(_SCORES)}"
                         f"{_closest(score, _SCORES)}")
    derivatives = {"taylor": 1, "fisher": 1, "curvature": 2}.get(score, 0)
    return _search("prune_scores", "prun_score_options", model, loader, options, work, progress,
                   f"{score} scores", derivatives)[0]


def _radius(function, c_function, model, loader, options, progress, derivatives=0):
    def work(objective, settings):
        result = objective.lib.make("prun_radius")
        objective.call(c_function, ctypes.byref(settings), ctypes.byref(result))
        return result
    r, objective, seconds = _search(function, "prun_perturb_options", model, loader, options, work,
                                    progress, function.replace("_", " "), derivatives)
    return Radius(r.radius, r.standard_error, r.flatness, ("found", "saturated", "none")[r.state],
                  r.base, r.threshold, r.reached, r.passes, seconds, list(objective.notes))


def perturbation_radius(model, loader=None, noise="magnitude", progress=True, **options):
    """The largest random noise that the loss tolerates, as the mean over `draws`: Radius.

    noise       its variance on a weight w at radius r: r^2 |w| + epsilon ("magnitude", as the
                paper prints it), r^2 w^2 + epsilon^2 ("squared"), r^2 ("gaussian"); with
                "sign_flip" w becomes -w with probability r
    options     of the model as in `measure`, and fields of prun_perturb_options: beta, draws, ...
    """
    options["noise"] = noise
    return _radius("perturbation_radius", "prun_perturbation_radius", model, loader, options,
                   progress)


def sharpness_radius(model, loader=None, noise="gaussian", progress=True, **options):
    """The largest worst-case perturbation that the loss tolerates: Radius.

    Gradient ascent of `steps` steps searches for the worst case. As it may miss the worst, the
    radius is an upper bound, which falls with more steps and restarts.

    noise       the box of the perturbation u at radius r: |u| <= r ("gaussian"), or r |w| + epsilon
                ("magnitude", "squared")
    options     as in `perturbation_radius`; steps; restarts; step_batch: random samples per step
    """
    options["noise"] = noise
    return _radius("sharpness_radius", "prun_sharpness_radius", model, loader, options, progress, 1)


def hessian(model, loader=None, scope="weights", eigenvalues=5, steps=100, probes=3,
            trace_probes=30, hessian_samples=None, progress=True, **options):
    """Curvature of the mean loss: Hessian.

    scope            "weights", or "all" trained parameters
    eigenvalues      number of the largest eigenvalues; no more than steps
    steps, probes    products per Lanczos run, and runs, for density and effective dimensionality;
                     standard errors estimated from only three runs are rough
    trace_probes     products for the trace
    hessian_samples  number of samples that the loss averages over, the first ones [all]
    options          of the model as in `measure`, and fields of prun_hessian_options
    """
    def work(objective, settings):
        library, c = objective.lib, objective.lib.c
        settings.samples = 0 if hessian_samples is None else hessian_samples
        size, runs = _I64(), settings.probes
        objective.call("prun_hessian_size", ctypes.byref(settings), ctypes.byref(size))
        count = min(eigenvalues, settings.steps, size.value)
        spectrum = library.make("prun_spectrum")
        trace = library.make("prun_estimate")
        values, residuals, lowest = np.empty(count), np.empty(count), np.empty(1)
        objective.call("prun_hessian_eigenpairs", count, ctypes.byref(settings),
                       values.ctypes.data, residuals.ctypes.data, None)
        settings.smallest = 1
        objective.call("prun_hessian_eigenpairs", 1, ctypes.byref(settings), lowest.ctypes.data,
                       None, None)
        settings.smallest = 0
        settings.probes = _number("trace_probes", trace_probes, "int64_t")
        objective.call("prun_hessian_trace", ctypes.byref(settings), ctypes.byref(trace), None)
        settings.probes = runs
        objective.call("prun_hessian_spectrum", ctypes.byref(settings), ctypes.byref(spectrum))
        try:
            return Hessian(objective, values, residuals, float(lowest[0]), trace, spectrum,
                           "weights" if scope == "weights" else "parameters")
        finally:
            c.prun_spectrum_free(ctypes.byref(spectrum))
    options.update(scope=scope, steps=steps, probes=probes)
    result, _, result.seconds = _search("hessian", "prun_hessian_options", model, loader, options,
                                        work, progress, "hessian", 2)
    return result


def hessian_diagonal(model, loader=None, scope="weights", probes=30, hessian_samples=None,
                     progress=True, **options):
    """Diagonal of the Hessian of the mean loss: Diagonal.

    It is estimated from products with random vectors of signs, and is exact where the Hessian is
    diagonal.

    scope            "weights", or "all" trained parameters
    probes           products; four times as many halve the standard errors
    hessian_samples  number of samples that the loss averages over, the first ones [all]
    options          of the model as in `measure`, and fields of prun_hessian_options
    """
    def work(objective, settings):
        kinds = set(_KINDS) if scope == "all" else {"weight"}
        settings.samples = 0 if hessian_samples is None else _number(
            "hessian_samples", hessian_samples, "int64_t")
        values, errors = (np.empty(objective.size_of(kinds)) for _ in range(2))
        objective.call("prun_hessian_diagonal", ctypes.byref(settings), values.ctypes.data,
                       errors.ctypes.data)
        return objective.split(values, kinds), objective.split(errors, kinds)
    options.update(scope=scope, probes=probes)
    result, objective, seconds = _search("hessian_diagonal", "prun_hessian_options", model, loader,
                                         options, work, progress, "diagonal", 2)
    return Diagonal(*result, seconds, list(objective.notes))


# ---- PyTorch: data -------------------------------------------------------------------------------

_TARGET_KEYS = ("labels", "label", "target", "targets", "y")


def _map(function, value):
    """Applies a function to the tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, collections.abc.Mapping):
        return {key: _map(function, value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (tuple, list)):
        return tuple(_map(function, item) for item in value)
    return function(value)


def _leaves(value):
    found = []
    _map(found.append, value)
    return found


def _structure(value):
    """What must be the same in all batches: keys and numbers of tensors."""
    if isinstance(value, collections.abc.Mapping):
        return {key: _structure(item) for key, item in value.items()}
    return [_structure(item) for item in value] if isinstance(value, (tuple, list)) else "tensor"


def _as_tensor(value):
    import torch
    if isinstance(value, torch.Tensor):
        # Tensors made in inference mode take no part in gradients; their copies do.
        return value.clone() if value.is_inference() else value.detach()
    if isinstance(value, (np.ndarray, np.generic, int, float, bool)):
        return torch.as_tensor(value)
    raise TypeError(f"a batch holds a {type(value).__name__}, where a tensor is needed")


def _split_batch(batch):
    """Arguments of the model, by place or by name, and the target."""
    if isinstance(batch, collections.abc.Mapping):
        for key in _TARGET_KEYS:
            if key in batch:
                return {k: v for k, v in batch.items() if k != key}, batch[key]
        raise ValueError(f"a batch has the keys {', '.join(map(str, batch))}; the target has to be "
                         f"one of them: {', '.join(_TARGET_KEYS)}")
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise ValueError("a batch has no labels; it has to be (inputs..., target), or a dictionary "
                         "with the target under \"labels\"")
    inputs, target = tuple(batch[:-1]), batch[-1]
    if isinstance(target, (tuple, list)) and all(isinstance(t, (int, float)) for t in target):
        target = np.asarray(target)
    named = len(inputs) == 1 and isinstance(inputs[0], collections.abc.Mapping)
    return inputs[0] if named else inputs, target


def _batches(loader, batch):
    """Iterable of batches from the user's loader."""
    import torch
    tensors = (torch.Tensor, np.ndarray)
    if isinstance(loader, tensors):
        raise ValueError("a single tensor has no labels; give a pair (inputs, target)")
    if isinstance(loader, (tuple, list)) and loader and all(isinstance(t, tensors) for t in loader):
        return [loader]
    if isinstance(loader, collections.abc.Mapping):
        return [loader]
    if isinstance(loader, torch.utils.data.Dataset):
        return torch.utils.data.DataLoader(loader, batch_size=batch)
    if not hasattr(loader, "__iter__"):
        raise TypeError(f"loader: a {type(loader).__name__} gives no batches; a DataLoader, a "
                        "Dataset, or a pair of tensors is needed")
    return loader


def _read_samples(loader, samples, batch, memory):
    """(inputs, target) of all samples, joined; reading ends at `samples`."""
    import torch
    parts, count, size = [], 0, 0
    # Iterables other than torch's may reuse the memory of a batch.
    fresh = isinstance(loader, (torch.utils.data.DataLoader, torch.utils.data.Dataset, tuple, list,
                                collections.abc.Mapping))
    for given in _batches(loader, batch):
        part = _map(_as_tensor, _split_batch(given))
        if not fresh:
            part = _map(torch.clone, part)
        leaves = _leaves(part)
        if leaves and all(leaf.dim() and not leaf.shape[0] for leaf in leaves):
            raise ValueError("a batch holds no samples: the first axis of its tensors has length 0")
        sizes = {leaf.shape[0] if leaf.dim() else 0 for leaf in leaves}
        if len(sizes) != 1 or 0 in sizes:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves[:4])
            raise ValueError(f"a batch holds tensors of {shapes}; the first axis has to be the "
                             "samples of all of them")
        parts.append(part)
        if _structure(part) != _structure(parts[0]):
            raise ValueError(f"a batch is {_structure(part)}, but the first was "
                             f"{_structure(parts[0])}: the same tensors are needed in all of them")
        count += leaves[0].shape[0]
        size += sum(leaf.numel() * leaf.element_size() for leaf in leaves)
        if size > memory:
            raise ValueError(f"the samples take more than memory={memory} bytes after {count} of "
                             "them; give samples= to use the first ones, or a larger memory=")
        if samples is not None and count >= samples:
            break
    if not parts:
        raise ValueError("the loader gave no batch; if it is a generator, it may have been used up")
    columns = [_leaves(part) for part in parts]
    joined = []
    for leaves in zip(*columns):
        shapes = {tuple(leaf.shape[1:]) for leaf in leaves}
        if len(shapes) > 1:
            raise ValueError(f"batches of different shapes, {sorted(shapes)[:2]}: pad the samples "
                             "to one shape")
        joined.append((leaves[0] if len(leaves) == 1 else torch.cat(leaves))[:samples])
    for leaf in joined:
        if not leaf.is_floating_point():
            continue
        spoilt = torch.isnan(leaf.unsqueeze(-1)).flatten(1).any(1)
        if spoilt.any():
            raise ValueError(f"sample {int(spoilt.nonzero()[0])} (counted from 0) holds NaN")
    joined = iter(joined)
    return _map(lambda _: next(joined), parts[0])


def _loader_notes(loader):
    """Notes on the loader for readers of the results."""
    import torch
    notes = []
    if not isinstance(loader, torch.utils.data.DataLoader):
        return notes
    if isinstance(getattr(loader, "sampler", None), torch.utils.data.RandomSampler):
        notes.append("The loader shuffles: samples are in the order of the one pass that was read.")
    dataset = loader.dataset
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and len(dataset):
        try:
            first, second = (_leaves(_map(_as_tensor, dataset[0])) for _ in range(2))
        except Exception:  # not indexed by numbers, or its samples are not tensors
            return notes
        if any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(first, second)):
            notes.append("The data set augments its samples: they are used as the one pass that "
                         "was read gave them.")
    return notes


# ---- PyTorch: parameters -------------------------------------------------------------------------


def _kind_by_type(module, name, parameter):
    """Kind of a module's own parameter."""
    from torch import nn
    norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
    kernels = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, nn.RNNBase, nn.RNNCellBase,
               nn.MultiheadAttention)
    if isinstance(module, norms) or (type(module).__name__.endswith("Norm") and
                                     parameter.dim() <= 1):
        return "norm"
    # The magnitudes of a weight norm; its directions are the kernel.
    own = module._parameters
    if (name.endswith("_g") and name[:-2] + "_v" in own) or \
            (type(module).__name__ == "ParametrizationList" and name == "original0" and
             "original1" in own):
        return "norm"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "other"
    if name.startswith("bias") or name.endswith("bias") or "bias_table" in name:
        return "bias"
    if isinstance(module, kernels):
        return "weight" if parameter.dim() > 1 else "bias"
    # In modules that are not torch's own, a parameter called weight is a kernel; others are tokens
    # and positions.
    if parameter.dim() > 1 and (name in ("weight", "kernel") or name.startswith("weight") or
                                type(module).__name__ == "ParametrizationList"):
        return "weight"
    return "other"


def _kind_chooser(prunable, names):
    """`prunable` as a function (name, parameter, usual kind) -> kind, or whether it is a weight."""
    failure = "prunable: no trained parameter is called"
    if prunable is None:
        return lambda name, parameter, usual: usual
    if callable(prunable):
        return lambda name, parameter, usual: prunable(name, parameter)
    if isinstance(prunable, dict):
        chosen = {}
        for pattern, kind in prunable.items():
            chosen.update((name, kind) for name in _matching(pattern, names, failure))
        return lambda name, parameter, usual: chosen.get(name, usual)
    weights = _matching(prunable, names, failure)
    return lambda name, parameter, usual: name in weights


def _trained(model, prunable):
    """_Parameter for each trained parameter, shared ones once."""
    owners = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), (module, name))
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad and p.numel()]
    if not trained:
        raise ValueError("the model has no parameter with requires_grad")
    choose = _kind_chooser(prunable, [name for name, _ in trained])
    found, places = [], {}
    for name, parameter in trained:
        if parameter.is_complex():
            raise TypeError(f"{name}: is {parameter.dtype}; real numbers are needed")
        other = places.setdefault((parameter.device, parameter.data_ptr()), name)
        if other != name:
            raise ValueError(f"{other} and {name} are two Parameters over the same memory; tie "
                             "weights by assigning one Parameter to both modules")
        module, own_name = owners[id(parameter)]
        usual = _kind_by_type(module, own_name, parameter)
        kind = choose(name, parameter, usual)
        if isinstance(kind, bool):
            kind = "weight" if kind else "other" if usual == "weight" else usual
        if kind not in _KINDS:
            raise ValueError(f"prunable: {name} is {kind!r}, not one of {', '.join(_KINDS)}")
        found.append(_Parameter(name, parameter, kind, module, own_name))
    if all(p.kind != "weight" for p in found):
        names = ", ".join(p.name for p in found[:8]) + (", ..." if len(found) > 8 else "")
        raise ValueError("no parameter is a weight that can be pruned; prunable= chooses them, by "
                         f"names or patterns. There are: {names}")
    return found


class _Parameter:
    """A trained parameter, and the float32 array of it that the library changes.

    The array is the parameter's own memory where that is possible. Otherwise it is a copy, which is
    written to the parameter before the model runs.
    """

    def __init__(self, name, parameter, kind, module, own_name):
        import torch
        from torch.nn.modules.conv import _ConvTransposeNd
        self.name, self.parameter, self.kind = name, parameter, kind
        transposed = isinstance(module, _ConvTransposeNd) and parameter.dim() > 2
        self.groups = module.groups if transposed else 0
        # torch.nn.utils.prune multiplies weight_orig by weight_mask before each forward pass.
        self.mask = module._buffers.get(own_name[:-5] + "_mask") if own_name.endswith("_orig") \
            else None
        data = parameter.data
        self.shared = data.device.type == "cpu" and data.dtype == torch.float32 and \
            data.is_contiguous() and not self.groups and self.mask is None
        if self.shared:
            self.array = data.numpy()
        else:
            self.array = np.empty(tuple(self.arrange(data).shape), np.float32)
            self.refresh()

    def arrange(self, tensor):
        """From torch's order of axes to the library's, where the output is the first, and back:
        the kernels of transposed convolutions have the input first."""
        if not self.groups:
            return tensor
        n, rest = tensor.shape[0] // self.groups, tensor.shape[1:]
        parts = tensor.reshape(self.groups, n, *rest).transpose(1, 2)
        return parts.reshape(self.groups * rest[0], n, *rest[1:])

    def refresh(self):
        """Reads the current parameter, at the beginning of a call."""
        if self.shared:
            if self.parameter.data_ptr() != self.array.ctypes.data:
                raise RuntimeError(f"{self.name}: its memory has changed since the objective was "
                                   "made; make a new objective")
            return
        self.original = self.parameter.detach().clone()
        effective = self.original if self.mask is None else self.original * self.mask
        np.copyto(self.array, self.arrange(effective).to("cpu").float().numpy())
        self.unchanged = self.array.copy()  # the original, rounded
        self.written = self.array.copy()    # what the parameter holds

    def write(self):
        """Copies the library's changes of the array to the parameter; returns whether it changed.
        Elements equal to the original get the original, in full precision."""
        import torch
        if self.shared or np.array_equal(self.array, self.written, equal_nan=True):
            return False
        device, dtype = self.original.device, self.original.dtype
        value = self.arrange(torch.from_numpy(self.array)).to(device, dtype)
        same = self.arrange(torch.from_numpy(self.array == self.unchanged)).to(device)
        with torch.no_grad():
            self.parameter.data.copy_(torch.where(same, self.original, value))
        np.copyto(self.written, self.array)
        return True

    def restore(self):
        import torch
        if self.shared:
            return
        with torch.no_grad():
            self.parameter.data.copy_(self.original)
        np.copyto(self.array, self.unchanged)
        np.copyto(self.written, self.unchanged)


# ---- PyTorch: losses -----------------------------------------------------------------------------


def _double(tensor):
    """Converts to double precision, which Apple's GPUs do not have."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def _cross_entropy(output, target):
    from torch.nn import functional
    output = _double(output)
    target = target.to(output.device)
    losses = functional.cross_entropy(output, target, reduction="none")
    if losses.dim() == 1:
        return losses
    # Losses by position in a sequence or an image; torch ignores positions labelled -100.
    counted = losses.shape[1:].numel() if target.is_floating_point() else \
        (target != -100).flatten(1).sum(1).clamp(min=1)
    return losses.flatten(1).sum(1) / counted


def _normalize(logits):
    """Logits centred and divided by their norm."""
    centred = _double(logits)
    centred = centred - centred.mean(1, keepdim=True)
    return centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-10)


def _mean_per_sample(losses):
    return losses.flatten(1).mean(1) if losses.dim() > 1 else losses


def _mean_square(output, target):
    if output.shape != target.shape:
        raise ValueError(f"loss=\"mse\": outputs of shape {tuple(output.shape)}, targets of "
                         f"{tuple(target.shape)}")
    return _mean_per_sample((_double(output) - _double(target)) ** 2)


def _binary_cross_entropy(output, target):
    from torch.nn import functional
    return _mean_per_sample(functional.binary_cross_entropy_with_logits(
        _double(output), _double(target).reshape(output.shape), reduction="none"))


_LOSSES = {"cross_entropy": _cross_entropy, "mse": _mean_square, "bce": _binary_cross_entropy}


# ---- PyTorch: places inside a model --------------------------------------------------------------


def _leaf_modules(model):
    """Modules without submodules whose calls hooks can observe, except those that compute
    parameters of other modules."""
    import torch
    left_out = set()
    for module in model.modules():
        children = dict(module.named_children())
        makers = children.pop("parametrizations", None)
        if makers is not None:
            left_out.update(map(id, makers.modules()))
        # A hook in an encoder layer disables its fast path, without which it may fail.
        if isinstance(module, torch.nn.TransformerEncoderLayer):
            left_out.update(map(id, module.modules()))
        elif isinstance(module, torch.jit.ScriptModule) or children:
            left_out.add(id(module))
    return [module for module in model.modules() if id(module) not in left_out]


def _is_spatial(module):
    from torch import nn
    pooling = nn.modules.pooling
    return isinstance(module, (nn.modules.conv._ConvNd, pooling._MaxPoolNd, pooling._AvgPoolNd,
                               pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd))


def _features(module, inputs, output):
    """Representations from a call of a module, a row of float32 for each sample: maxima of the
    output of a convolution or pool, or the input of a linear layer; otherwise None. Copies, because
    later modules may work in place."""
    import torch
    spatial, value = _is_spatial(module), None
    if spatial:
        value = output
    elif isinstance(module, torch.nn.Linear) and inputs:
        value = inputs[0]
    if not isinstance(value, torch.Tensor) or value.dim() < 2 or not value.numel() or \
            not value.is_floating_point():
        return None
    value = value.detach().float()
    if spatial and value.dim() == 4:
        value = torch.nn.functional.max_pool2d(value, [min(4, size) for size in value.shape[2:]], 4)
    return value.flatten(1).clone()


@contextlib.contextmanager
def _calls_recorded(modules):
    """A list that grows by (module, rows) with each call of one of the modules."""
    calls, handles = [], []

    def record(module, inputs, output):
        calls.append((module, _features(module, inputs, output)))
    try:
        for module in modules:
            handles.append(module.register_forward_hook(record))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


# ---- PyTorch: the objective ----------------------------------------------------------------------


class _RandomStates:
    """The random states of Python, NumPy and torch, to be put back."""

    def __init__(self):
        import torch
        self.python, self.numpy, self.torch = (random.getstate(), np.random.get_state(),
                                               torch.get_rng_state())
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def restore(self):
        import torch
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)


def _import_torch():
    try:
        import torch
    except ImportError:
        raise ImportError("models are measured with torch, which is not installed; networks of "
                          "your own need only an Objective") from None
    return torch


def _check_model_arguments(model, loader, samples, batch, loss, memory, initial):
    import torch
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: a {type(model).__name__}, where a torch.nn.Module or an "
                        "Objective is needed")
    if loader is None:
        raise TypeError("a loader is needed: batches (inputs, labels) of the training set")
    for name, value in (("samples", samples), ("batch", batch)):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name}={_short(value)}: must be a positive integer")
    if not isinstance(memory, (int, float, np.number)) or not memory > 0:
        raise ValueError(f"memory={_short(memory)}: must be a number of bytes")
    if not (callable(loss) or isinstance(loss, str) and loss in _LOSSES):
        raise ValueError(f"loss={_short(loss)}: must be one of {', '.join(_LOSSES)}, or a function"
                         f"{_closest(loss, list(_LOSSES))}")
    if initial is None:
        return
    if not isinstance(initial, collections.abc.Mapping):
        raise TypeError(f"initial={_short(initial)}: must be a state_dict()")
    own = {p.data_ptr() for p in model.parameters() if p.numel()}
    if any(isinstance(t, torch.Tensor) and t.data_ptr() in own for t in initial.values()):
        raise ValueError("initial: shares its memory with the model, and so changed in training; "
                         "take copy.deepcopy(model.state_dict()) before it")


def _read_kept(loader, samples, batch, memory):
    """The samples, and notes on their loader; random states are left as they were."""
    import torch
    states = _RandomStates()
    try:
        with torch.inference_mode(False):
            return _read_samples(loader, samples, batch, memory), _loader_notes(loader)
    finally:
        states.restore()


def _on_device(model, device):
    """The model, or a copy of it on the device if it is elsewhere."""
    import torch
    if device is None:
        return model
    device = torch.device(device)
    if all(p.device.type == device.type and device.index in (None, p.device.index)
           for p in model.parameters()):
        return model
    import copy
    return copy.deepcopy(model).to(device)


class TorchObjective(Objective):
    """The objective of a torch.nn.Module on samples kept in memory; for options see `measure`."""

    def __init__(self, model, loader, samples=None, batch=256, device=None, loss="cross_entropy",
                 nonnegative=None, prunable=None, initial=None, memory=4 << 30, second_order=False):
        torch = _import_torch()
        _check_model_arguments(model, loader, samples, batch, loss, memory, initial)
        (self.inputs, self.target), notes = _read_kept(loader, samples, batch, memory)
        model = _on_device(model, device)
        self.torch, self.model, self.batch = torch, model, int(batch)
        self.loss_function = _LOSSES[loss] if isinstance(loss, str) else loss
        self.loss_name = loss if isinstance(loss, str) else None
        self.knows_wrong = self.loss_name in ("cross_entropy", "bce")
        self.parameters = _trained(model, prunable)
        self.weights = [p.parameter for p in self.parameters]
        self.device = self.weights[0].device
        self.samples = _leaves(self.inputs)[0].shape[0]
        self.graphs, self.views, self.classes_last = None, [], False
        self.normalizes, self.places, self.has_last_weight = False, {}, False
        with self._catching_interrupts(), self._prepared():
            output = self._probe(second_order)
            classes = output.shape[1] if self.loss_name == "cross_entropy" and output.dim() == 2 \
                else 0
            if classes >= 2:
                self._find_places()
        labels = None
        if classes and not self.target.is_floating_point() and int(self.target.min()) >= 0:
            labels = self.target.cpu().numpy()
        mixes = classes >= 2 and all(leaf.is_floating_point() for leaf in _leaves(self.inputs))
        super().__init__(
            [Tensor(p.name, p.array, p.kind) for p in self.parameters], self._losses, self.samples,
            self._gradient if self.differentiable else None,
            self._hessian_vector if self.second_order else None,
            self._logits if classes >= 2 else None, labels, classes,
            nonnegative=self.loss_name is not None if nonnegative is None else nonnegative,
            initial=None if initial is None else self._initial(initial),
            representation=self._representation if classes >= 2 else None,
            places={place: features for place, (_, features) in self.places.items()},
            mixed_logits=self._mixed_logits if mixes else None)
        self.notes += notes + self._model_notes(second_order)

    def _model_notes(self, second_order):
        notes = []
        if any(p.mask is not None for p in self.parameters):
            notes.append("Weights masked by torch.nn.utils.prune count as weights that are zero.")
        if not self.differentiable:
            notes.append(self.reason)
        elif second_order and not self.second_order:
            notes.append(f"torch has no second derivative of this model ({self.reason}): "
                         "curvature is made of differences of gradients.")
        return notes

    def _settle_target(self, output):
        """Converts the labels of cross-entropy to the form that torch takes."""
        if self.loss_name != "cross_entropy":
            return
        target = self.target
        if not isinstance(target, self.torch.Tensor):
            raise TypeError("the target of a batch is not one tensor; give a loss= of your own")
        if target.is_floating_point() and target.dim() < 2:
            raise TypeError(f"labels are {target.dtype}; cross-entropy needs integers "
                            "(torch.long), or choose another loss=")
        if not target.is_floating_point():
            target = target.long()
            if output.dim() == 2 and target.dim() == 2 and target.shape[1] == 1:
                target = target[:, 0]
            elif output.dim() == 2 and target.shape[1:] == output.shape[1:] and \
                    bool(((target == 1).sum(1) == 1).all() and (target != 0).sum() == len(target)):
                target = target.argmax(1)
            # Language models return tokens x classes; torch's loss takes classes x tokens.
            places = tuple(target.shape[1:])
            self.classes_last = output.dim() > 2 and places == tuple(output.shape[1:-1]) and \
                places != tuple(output.shape[2:])
        self.target = target
        shape = output.shape[1:]
        classes = shape[-1] if self.classes_last else shape[0] if shape else 0
        wanted = shape if target.is_floating_point() else \
            shape[:-1] if self.classes_last else shape[1:]
        if not classes or target.shape[1:] != wanted:
            raise ValueError(f"loss=\"cross_entropy\": outputs are samples x {tuple(shape)}, and "
                             f"labels samples x {tuple(target.shape[1:])}; labels have to be "
                             f"samples x {tuple(wanted)}, or give a loss= of your own")
        if not target.is_floating_point():
            self._check_labels(int(target.min()), int(target.max()), classes)

    @staticmethod
    def _check_labels(low, high, classes):
        if low < 0 and low != -100:
            raise ValueError(f"label {low} is below 0")
        if high >= classes:
            raise ValueError(f"label {high}, but the model has {classes} outputs")

    def _probe(self, second_order):
        """The output for one sample. Checks labels, that losses are repeatable, and derivatives."""
        torch = self.torch
        with torch.no_grad():
            output = self._output(self._select(np.arange(1))[0])
            self._settle_target(output)
            first, again = (self._forward(np.arange(min(self.batch, self.samples)))[1]
                            for _ in range(2))
        if not torch.allclose(first, again, rtol=1e-6, atol=1e-12, equal_nan=True):
            raise ValueError("the model's loss is random: the same samples gave "
                             f"{float(first.mean()):.6g} and {float(again.mean()):.6g}. "
                             "Is dropout on in eval mode?")
        with torch.enable_grad():
            self.differentiable = self._forward(np.arange(1))[1].requires_grad
        self.second_order, self.reason = False, ""
        if not self.differentiable:
            self.reason = ("The loss does not depend on the parameters for autograd (does the "
                           "model or the loss use torch.no_grad or detach?): what needs gradients "
                           "is missing.")
        elif second_order:
            self._probe_second_order()
        return output

    def _probe_second_order(self):
        try:
            zero = np.zeros(sum(p.numel() for p in self.weights), np.float32)
            self._hessian_vector(np.arange(min(2, self.samples)), zero)
            self.second_order = True
        except RuntimeError as error:  # includes NotImplementedError
            signs = "derivative", "not implemented", "Could not run"
            if not any(sign in str(error) for sign in signs):
                raise
            self.reason = str(error).split("\n")[0][:120]

    def _find_places(self):
        """Finds in one pass the modules whose calls give representations, and how many features
        each has. A module that is called more than once gives none."""
        n = min(3, self.samples)
        with self.torch.no_grad(), _calls_recorded(_leaf_modules(self.model)) as calls:
            logits = self._output(self._select(np.arange(n))[0])
        spatial = [i for i, (module, _) in enumerate(calls) if _is_spatial(module)]
        linear = [i for i, (module, _) in enumerate(calls)
                  if isinstance(module, self.torch.nn.Linear)]
        chosen = {"early": [i for i in spatial if i < 3][:1],
                  "late": [i for i in spatial if i <= len(calls) - 3][-1:],
                  "last": linear[-1:]}
        for place, i in ((place, i) for place, found in chosen.items() for i in found):
            module, rows = calls[i]
            if rows is None or len(rows) != n or sum(module is other for other, _ in calls) > 1:
                continue
            if place != "last" or self._gives_logits(module, rows, logits):
                self.places[place] = module, rows.shape[1]
        if "last" in self.places:
            self.has_last_weight = self._is_found(self.places["last"][0].weight)

    def _gives_logits(self, linear, rows, logits):
        """Whether the logits are the output of the linear layer for these rows."""
        nn = self.torch.nn
        if type(linear).forward is not nn.Linear.forward:
            return False
        with self.torch.no_grad():
            made = nn.functional.linear(rows.to(linear.weight.dtype), linear.weight, linear.bias)
        made, logits = _double(made).cpu(), _double(logits).cpu()
        return made.shape == logits.shape and \
            bool((made - logits).abs().max() <= 1e-3 * logits.abs().max())

    def _is_found(self, weight):
        """Whether the library uses this weight as the last layer's: the last one of its size."""
        weight = weight.detach().float().cpu().numpy()
        sizes = weight.shape[:1], weight.size
        found = [p.array for p in self.parameters
                 if p.kind == "weight" and (p.array.shape[:1], p.array.size) == sizes]
        return bool(found) and np.array_equal(found[-1].reshape(weight.shape), weight)

    def undefined(self, name):
        if name in _OF_LAST_WEIGHT and "last" in self.places and not self.has_last_weight:
            return _NO_LAST_WEIGHT
        return super().undefined(name)

    @contextlib.contextmanager
    def computing(self, name):
        """The library has gradients of normalized logits only for networks of its own layers. Here
        the loss normalizes them, and the library computes the measure of plain logits."""
        plain = name[:-len(b"_normalized")]
        self.normalizes = name.endswith(b"_normalized") and b"average" not in name and \
            bool(self.c.logits and self.c.labels)
        try:
            yield plain if self.normalizes else name
        finally:
            self.normalizes = False

    def _initial(self, initial):
        """Arrays of a state_dict, in the order of the parameters."""
        found = []
        for p in self.parameters:
            name = p.name
            if name not in initial and p.mask is not None:
                name = name[:-5]  # before torch.nn.utils.prune renamed it
            if name not in initial:
                raise ValueError(f"initial: has no {name!r}{_closest(name, list(initial))}")
            value = initial[name]
            if tuple(value.shape) != tuple(p.parameter.shape):
                raise ValueError(f"initial: {name} has shape {tuple(value.shape)}, the model's "
                                 f"{tuple(p.parameter.shape)}")
            found.append(p.arrange(value.detach()).to("cpu").float().numpy())
        return found

    def _to_library(self, i, value):
        p = self.parameters[i]
        value = self.torch.as_tensor(value).detach()
        if value.shape != p.parameter.shape:
            raise ValueError(f"{p.name} has shape {tuple(p.parameter.shape)}, not "
                             f"{tuple(value.shape)}")
        return p.arrange(value).to("cpu").float().contiguous().numpy()

    def _from_library(self, i, value):
        return self.parameters[i].arrange(self.torch.from_numpy(value)).numpy()

    def _addresses(self):
        return {(p.parameter.device, p.parameter.data_ptr()) for p in self.parameters}

    # ---- the state of the model ----

    @contextlib.contextmanager
    def _prepared(self):
        """Sets eval mode; restores training flags, buffers, tensors that hooks keep in modules,
        gradients and random states at the end."""
        torch = self.torch
        modules = list(self.model.modules())
        modes = [(module, module.training) for module in modules]
        buffers = [(module, name, buffer, buffer.detach().clone()) for module in modules
                   for name, buffer in module._buffers.items() if buffer is not None]
        others = [(module, name, value) for module in modules
                  for name, value in vars(module).items() if isinstance(value, torch.Tensor)]
        gradients = [(p, p.grad, None if p.grad is None else p.grad.detach().clone())
                     for p in self.model.parameters()]
        states, cached = _RandomStates(), torch.is_autocast_cache_enabled()
        try:
            # Autocast would keep using weights that it converted before.
            torch.set_autocast_cache_enabled(False)
            torch.clear_autocast_cache()
            # Flags one by one, because an overridden model.eval() may have side effects.
            for module in modules:
                module.training = False
            with torch.inference_mode(False):
                yield
        finally:
            states.restore()
            torch.set_autocast_cache_enabled(cached)
            for module, training in modes:
                module.training = training
            for module, name, value in others:
                vars(module)[name] = value
            with torch.no_grad():
                for parameter, gradient, before in gradients:
                    sparse = gradient is not None and gradient.is_sparse
                    parameter.grad = before if sparse else gradient
                    if gradient is not None and not sparse:
                        gradient.copy_(before)
                for module, name, buffer, before in buffers:
                    module._buffers[name] = buffer
                    if buffer.shape != before.shape or not torch.equal(buffer, before):
                        buffer.data = before

    @contextlib.contextmanager
    def _state_kept(self):
        for p in self.parameters:
            p.refresh()
        with self._prepared():
            try:
                yield
            finally:
                self.graphs = None
                for p in self.parameters:
                    p.restore()

    def close(self):
        super().close()
        self.model = self.inputs = self.target = self.parameters = self.weights = None
        self.places = {}

    # ---- callbacks of the library ----

    def _select(self, index):
        """Copies of samples on the model's device: a model may work on its inputs in place."""
        index = self.torch.from_numpy(index)
        return _map(lambda leaf: leaf[index].to(self.device), (self.inputs, self.target))

    def _output(self, inputs):
        """The argument of the loss: the model's output, or for losses given by name its logits."""
        output = self.model(**inputs) if isinstance(inputs, dict) else self.model(*inputs)
        if isinstance(output, self.torch.Tensor) or not self.loss_name:
            return output
        if hasattr(output, "logits"):
            return output.logits
        if isinstance(output, (tuple, list)) and output:
            return output[0]
        if isinstance(output, collections.abc.Mapping):
            for key in ("logits", "out"):
                if key in output:
                    return output[key]
        raise TypeError(f"the model gives a {type(output).__name__}, in which there are no logits; "
                        "give a loss= of your own, which gets it as it is")

    def _forward(self, index):
        """Output of the model, losses of the samples in double precision, and their targets."""
        inputs, target = self._select(index)
        output = self._output(inputs)
        if self.classes_last:
            output = output.movedim(-1, 1)
        losses = self.loss_function(_normalize(output) if self.normalizes else output, target)
        n = _leaves(target)[0].shape[0]
        if not isinstance(losses, self.torch.Tensor):
            raise TypeError(f"loss: gives a {type(losses).__name__}, where a tensor of one loss "
                            "for each sample is needed")
        if tuple(losses.shape) != (n,):
            raise ValueError(f"loss: gives {tuple(losses.shape)} for {n} samples; one loss for "
                             "each sample is needed (reduction=\"none\")")
        return output, _double(losses), target

    def _write_copies(self):
        if any([p.write() for p in self.parameters]):
            self.graphs = None  # computed with other weights

    def _parts(self, index):
        """Cuts `index` into batches: yields the slice and the samples of each."""
        self._write_copies()
        for at in range(0, len(index), self.batch):
            self.check_interrupt()
            place = slice(at, at + self.batch)
            yield place, index[place]

    def _wrong(self, output, target):
        """Number of wrong answers, for a loss that defines them."""
        if self.loss_name == "cross_entropy":
            right = target.argmax(1) if target.is_floating_point() else target
            answers = (output.argmax(1) != right) & (right != -100)
        else:
            answers = (output > 0) != (target.reshape(output.shape) > .5)
        return int((answers if answers.dim() == 1 else answers.flatten(1).any(1)).sum())

    def _losses(self, index, count_wrong):
        losses, wrong = np.empty(len(index)), 0
        with self.torch.no_grad():
            for place, part in self._parts(index):
                output, values, target = self._forward(part)
                losses[place] = values.cpu().numpy()
                if count_wrong and self.knows_wrong:
                    wrong += self._wrong(output, target)
        return losses, wrong if self.knows_wrong else None

    def _logits_of(self, index, inputs_at):
        """Logits of len(index) samples, by batches; `inputs_at` returns the inputs of a slice."""
        logits = np.empty((len(index), self.classes), np.float32)
        with self.torch.no_grad():
            for place, _ in self._parts(index):
                logits[place] = self._output(inputs_at(place)).float().cpu().numpy()
        return logits

    def _logits(self, index):
        return self._logits_of(index, lambda place: self._select(index[place])[0])

    def _mixed_logits(self, first, second):
        def mix(place):
            inputs, _ = self._select(first[place])
            others = iter(_leaves(self._select(second[place])[0]))
            return _map(lambda leaf: (leaf + next(others)) / 2, inputs)
        return self._logits_of(first, mix)

    def _representation(self, place, index):
        module, features = self.places[place]
        rows = np.empty((len(index), features), np.float32)
        for at, part in self._parts(index):
            with self.torch.no_grad(), _calls_recorded([module]) as calls:
                self._output(self._select(part)[0])
            found = [call[1] for call in calls]
            if [getattr(f, "shape", None) for f in found] != [(len(part), features)]:
                raise _Undefined("other samples take another path through the model")
            rows[at] = found[0].cpu().numpy()
        return rows

    def _add(self, total, value, **options):
        """Adds to `total`, in place, the gradient of a value; None is zero."""
        parts = self.torch.autograd.grad(value, self.weights, allow_unused=True, **options)
        for i, part in enumerate(parts):
            if part is not None:
                part = part.to_dense() if part.is_sparse else part
                total[i] = part if total[i] is None else total[i] + part

    def _flatten(self, total):
        return np.concatenate([
            np.zeros(p.array.size, np.float32) if part is None
            else p.arrange(part.detach()).reshape(-1).float().cpu().numpy()
            for part, p in zip(total, self.parameters)])

    def _gradient(self, index, add_up):
        total, added = [None] * len(self.weights), 0.0
        with self.torch.enable_grad():
            for _, part in self._parts(index):
                value = self._forward(part)[1].sum()
                added += float(value)
                self._add(total, value)
        return self._flatten(total), added

    def _gradient_graphs(self, index):
        """Gradients of the batches' losses, as functions of the weights. A Lanczos run needs them
        repeatedly: those of up to two batches are kept while weights and samples are the same."""
        torch = self.torch
        self._write_copies()
        if self.graphs and all(np.array_equal(now, then) for now, then in
                               zip([index] + self.views, self.graphs[0])):
            self.check_interrupt()
            yield from self.graphs[1]
            return
        self.graphs, kept = None, []
        for _, part in self._parts(index):
            value = self._forward(part)[1].sum()
            gradient = torch.autograd.grad(value, self.weights, create_graph=True,
                                           allow_unused=True)
            if len(index) <= 2 * self.batch:
                kept.append(gradient)
            yield gradient
        if kept and self.views:
            self.graphs = [index.copy()] + [view.copy() for view in self.views], kept

    def _hessian_vector(self, index, v):
        torch, total, at, parts = self.torch, [None] * len(self.weights), 0, []
        for p, weight in zip(self.parameters, self.weights):
            part = torch.from_numpy(v[at:at + p.array.size].reshape(p.array.shape))
            parts.append(p.arrange(part).to(weight.device, weight.dtype))
            at += p.array.size
        with torch.enable_grad():
            for gradient in self._gradient_graphs(index):
                dots = [(g * d).sum() for g, d in zip(gradient, parts)
                        if g is not None and g.requires_grad]
                if dots:
                    dot = sum(_double(x) for x in dots)
                    self._add(total, dot, retain_graph=True)
        return self._flatten(total)


# ---- tables of models ----------------------------------------------------------------------------

Row = collections.namedtuple("Row", "measure models tau lower upper tau_b p psi psi_mean k")
Row.__doc__ = """A measure's Kendall tau with the target, its interval, tau_b and its p; psi by
hyperparameter, and their mean; the conditional mutual information K."""


class Evaluation(_Results):
    """Result of `evaluate`: a mapping from measures to Row, which prints as a table."""

    def __init__(self, rows, target, hyper, notes):
        super().__init__(rows, notes)
        self.target, self.hyper = target, hyper

    def __str__(self):
        def show(value, form):
            return "" if math.isnan(value) else form % value
        header = ["measure", "tau", "lower", "upper", "p"] + \
            [f"psi {name}" for name in self.hyper] + ["Psi", "K"]
        rows = []
        for row in sorted(self._results.values(), key=lambda r: -abs(r.tau)):
            rows.append([row.measure, "%+.3f" % row.tau, show(row.lower, "%+.3f"),
                         show(row.upper, "%+.3f"), show(row.p, "%.2g")] +
                        [show(row.psi[name], "%+.3f") for name in self.hyper] +
                        [show(row.psi_mean, "%+.3f"), show(row.k, "%.3f")])
        return "\n".join([f"Kendall's tau with {self.target}", "", _table(header, rows, {0})] +
                         self.notes)

    def to_frame(self):
        """A DataFrame with a row for each measure; needs pandas."""
        return _frame([row._asdict() for row in self._results.values()], "measure")


def _columns(frame):
    """{name: list} of a DataFrame, a dictionary of columns, or a list of rows."""
    if isinstance(frame, dict):
        return {str(name): list(values) for name, values in frame.items()}
    if hasattr(frame, "columns") and hasattr(frame, "to_numpy"):
        return {str(name): list(frame[name]) for name in frame.columns}
    rows = list(frame)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise TypeError("frame: a DataFrame, a dictionary of columns, or a list of dictionaries is "
                        "needed")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {str(name): [row.get(name, math.nan) for row in rows] for name in names}


def _numbers(values):
    """Column as doubles, or None where there is text."""
    try:
        return np.array([math.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError):
        return None


def _codes(values):
    """Settings as numbers, which are equal if their texts are."""
    return np.unique([str(value) for value in values], return_inverse=True)[1].astype(np.float64)


def _results(names):
    """Those columns that hold results of training, not measures: test_error, train_time, ..."""
    words = {"loss", "error", "err", "acc", "accuracy", "gap", "wrong", "seconds", "time", "runtime"}
    known = measures()
    return [name for name in names if str(name) not in known and
            str(name).lower().rstrip("0123456789._").split("_")[-1] in words]


def evaluate(frame, target="gap", hyper=(), seed_column=None, measures=None, resamples=2000,
             level=0.95, seed=0):
    """Which measure follows the target over a table of models?

    frame       a row for each model: DataFrame, dictionary of columns, or list of dictionaries, as
                Measures.to_row makes them
    target      column of the generalization gap, or of the test error
    hyper       columns of the hyperparameters, for granulated Kendall (psi) and K
    seed_column column of the training's seed; intervals then draw whole settings of `hyper`
    measures    columns to evaluate [all other columns of numbers, except results of the training:
                names that end in loss, error, accuracy, gap, seconds or time, but train_loss]

    Returns Evaluation: Kendall's tau with a bootstrap interval and p, psi by hyperparameter with
    their mean, and the conditional mutual information K. Rows in which a measure is missing are
    left out for that measure. The program examples/studies/evaluate.c computes more.
    """
    library = load_library()
    columns = _columns(frame)
    hyper = [hyper] if isinstance(hyper, str) else list(hyper)
    for name in [target] + hyper + ([seed_column] if seed_column else []) + list(measures or []):
        if name not in columns:
            raise ValueError(f"no column is called {name!r}{_closest(str(name), list(columns))}")
    y = _numbers(columns[target])
    if y is None:
        raise ValueError(f"{target}: is text, where numbers are needed")
    axes = [_codes(columns[name]) for name in hyper]
    seeds = None if seed_column is None else _codes(columns[seed_column])
    known = {target, seed_column, *hyper}
    names = list(measures) if measures is not None else [n for n in columns if n not in known]
    context = library.make("prun_context", threads=1)
    options = library.make("prun_resampling_options", resamples=int(resamples), level=float(level),
                           seed=int(seed))
    rows, notes = {}, []
    if measures is None:
        results = _results(names)
        names = [n for n in names if n not in results]
        if results:
            notes.append(f"Not measures: {', '.join(map(str, results))}; measures= names columns.")
    if y.size < 100:
        notes.append(f"{y.size} models are too few for a reliable ranking of measures.")
    for name in names:
        x = _numbers(columns[name])
        if x is None:
            if measures is not None:
                raise ValueError(f"{name}: is text, where numbers are needed")
            notes.append(f"{name} is left out: it is not all numbers.")
            continue
        keep = ~(np.isnan(x) | np.isnan(y))
        if keep.sum() < 2:
            notes.append(f"{name} is left out: it is defined for {keep.sum()} models, with "
                         f"{target} beside it.")
            continue
        if np.all(x[keep] == x[keep][0]):
            notes.append(f"{name} is left out: it is {x[keep][0]:g} for all models.")
            continue
        rows[name] = _evaluate_one(library, context, name, x[keep], y[keep],
                                   [axis[keep] for axis in axes], hyper,
                                   None if seeds is None else seeds[keep], options)
    return Evaluation(rows, target, hyper, notes)


def _evaluate_one(library, context, name, x, y, axes, hyper, seeds, options):
    def check(status):
        _check_status(status, context, f"{name}: ")
    c, where = library.c, ctypes.byref(context)
    kendall = library.make("prun_kendall")
    check(c.prun_kendall_tau(where, x.ctypes.data, y.ctypes.data, x.size, ctypes.byref(kendall)))
    sample = library.make("prun_sample", n=x.size, measure=x.ctypes.data, target=y.ctypes.data)
    if seeds is not None and axes:
        clusters = np.unique(np.stack(axes, 1), axis=0, return_inverse=True)[1].reshape(-1)
        clusters = clusters.astype(np.float64)
        sample.cluster = clusters.ctypes.data
    interval = library.make("prun_interval")
    check(c.prun_bootstrap(where, ctypes.byref(sample), ctypes.byref(options),
                           ctypes.byref(interval)))
    psi, psi_mean, k = {}, math.nan, math.nan
    if axes:
        pointers = (_PTR * len(axes))(*[axis.ctypes.data for axis in axes])
        struct = library.make("prun_axes", n=x.size, count=len(axes),
                              values=ctypes.addressof(pointers),
                              seed=None if seeds is None else seeds.ctypes.data)
        granulated, cmi = library.make("prun_granulated"), library.make("prun_cmi")
        check(c.prun_granulated_kendall(where, ctypes.byref(struct), x.ctypes.data, y.ctypes.data,
                                        ctypes.byref(granulated)))
        check(c.prun_conditional_information(where, ctypes.byref(struct), x.ctypes.data,
                                             y.ctypes.data, 0, ctypes.byref(cmi)))
        psi = {axis: granulated.psi[i] for i, axis in enumerate(hyper)}
        psi_mean, k = granulated.mean, cmi.k
    return Row(name, x.size, kendall.tau_a, interval.lower, interval.upper, kendall.tau_b,
               kendall.p, psi, psi_mean, k)
