#!/usr/bin/env python3
"""own_network.py - measures of a network written in Python, through ctypes.

The library becomes a shared one by a single line; nothing else is needed, nothing is installed:

    cc -shared -fPIC -O2 -DPRUNABILITY_IMPLEMENTATION -x c prunability.h -o libprunability.so -lm
    python3 examples/pytorch/own_network.py [libprunability.so]      (both from the project's root)

The network is a perceptron in plain Python. It shares nothing with the library but its weights and
one callback. At the end the same network is built from the library's layers, with the same weights,
and must have the same prunability.
"""
import ctypes
import math
import os
import random
import signal
import sys
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_double, c_float,
                    c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p)

DATA = "examples/data/fashion-mnist-train-"
SIDE, HIDDEN, CLASSES, SAMPLES, EPOCHS = 7, 12, 10, 200, 40
INPUTS = SIDE * SIDE
OK, CALLBACK_FAILED, WEIGHT, BIAS = 0, -16, 1, 2

# ---- the structs of prunability.h that are used, field by field ------------------------------------


class Context(Structure):
    _fields_ = [("allocate", c_void_p), ("release", c_void_p), ("allocator_user", c_void_p),
                ("parallel_for", c_void_p), ("parallel_user", c_void_p), ("threads", c_int64),
                ("status", c_int), ("message", c_char * 256)]


class Tensor(Structure):
    _fields_ = [("data", POINTER(c_float)), ("name", c_char_p), ("shape", c_int64 * 4),
                ("rank", c_int32), ("flags", c_uint32)]


LOSS = CFUNCTYPE(c_int, c_void_p, POINTER(c_int64), c_int64, POINTER(c_double), POINTER(c_double),
                 POINTER(c_int64))


class Objective(Structure):
    _fields_ = [("user", c_void_p), ("context", POINTER(Context)), ("tensors", POINTER(Tensor)),
                ("tensor_count", c_int64), ("initial", POINTER(Tensor)), ("samples", c_int64),
                ("classes", c_int64), ("nonnegative", c_int32), ("loss", LOSS),
                ("gradient", c_void_p), ("hessian_vector", c_void_p), ("logits", c_void_p),
                ("labels", POINTER(c_int32)), ("net", c_void_p), ("images", c_void_p)]


class Answer(Structure):
    _fields_ = [("beta", c_double), ("threshold", c_double), ("kept_fraction", c_double),
                ("kept", c_int64), ("loss", c_double)]


class Prunability(Structure):
    _fields_ = [("base_loss", c_double), ("prunable", c_int64), ("prunable_tensors", c_int64),
                ("grid", c_int64), ("answer_count", c_int64), ("answer", Answer * 8),
                ("passes", c_double)]


class MeasureInfo(Structure):
    _fields_ = [("name", c_char_p), ("source", c_char_p), ("what", c_char_p),
                ("direction", c_int32), ("needs", c_uint32), ("traits", c_uint32)]


class MeasureResult(Structure):
    _fields_ = [("value", c_double), ("standard_error", c_double), ("seconds", c_double),
                ("status", c_int), ("message", c_char * 200)]


class Images(Structure):
    _fields_ = [("count", c_int64), ("channels", c_int64), ("height", c_int64), ("width", c_int64),
                ("classes", c_int64), ("pixels", c_void_p), ("values", POINTER(c_float)),
                ("labels", POINTER(c_int32)), ("normalization", c_int), ("mean", c_float * 4),
                ("std", c_float * 4), ("storage", c_void_p), ("context", POINTER(Context))]


STRUCTS = {b"prun_context": Context, b"prun_tensor": Tensor, b"prun_objective": Objective,
           b"prun_prunability_answer": Answer, b"prun_prunability": Prunability,
           b"prun_measure_info": MeasureInfo, b"prun_measure_result": MeasureResult,
           b"prun_images": Images}


class Field(Structure):
    _fields_ = [("structure", c_char_p), ("name", c_char_p), ("type", c_char_p),
                ("offset", c_int64), ("size", c_int64)]


def check_layout(lib):
    """Compares the classes above with the structs of the library, field by field."""
    count = c_int64()
    lib.prun_fields.restype = POINTER(Field)
    fields = lib.prun_fields(byref(count))
    there = {(fields[i].structure, fields[i].name): (fields[i].offset, fields[i].size)
             for i in range(count.value)}
    for name, struct in STRUCTS.items():
        for field in struct._fields_:
            place = getattr(struct, field[0])
            if there.get((name, field[0].encode())) != (place.offset, place.size):
                sys.exit(f"error: {name.decode()}.{field[0]}: the library is of another version "
                         "than this program")


def load(path):
    if not os.path.exists(path):
        sys.exit(f"error: {path!r} is not there; make lib puts it into build/, and --help shows "
                 "the command that makes it by hand")
    try:
        lib = ctypes.CDLL(os.path.abspath(path))
    except OSError as error:
        sys.exit(f"error: {path!r} is no shared library: {error}")
    if not hasattr(lib, "prun_fields"):
        sys.exit(f"error: {path!r} does not hold the library, or a version before 1.0")
    check_layout(lib)
    lib.prun_measures.restype = POINTER(MeasureInfo)
    lib.prun_measure_find.restype = c_int64
    lib.prun_net_tensors.restype = POINTER(Tensor)
    lib.prun_net_tensors.argtypes = [c_void_p, POINTER(c_int64)]
    lib.prun_net_create.argtypes = [POINTER(Context), c_int64, c_int64, c_int64,
                                    POINTER(c_void_p)]
    lib.prun_layer_linear.argtypes = [c_void_p, c_int32, c_char_p, c_int64, c_int32]
    lib.prun_layer_relu.argtypes = [c_void_p, c_int32]
    lib.prun_net_finish.argtypes = [c_void_p, c_int32, c_uint64]
    lib.prun_net_free.argtypes = [c_void_p]
    return lib


# ---- the network ---------------------------------------------------------------------------------


def read_data():
    """Images of 28x28 averaged down to 7x7, and labels."""
    try:
        with open(DATA + "images.idx3-ubyte", "rb") as file:
            pixels = file.read(16 + SAMPLES * 784)[16:]
        with open(DATA + "labels.idx1-ubyte", "rb") as file:
            labels = list(file.read(8 + SAMPLES)[8:])
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}; start the program from the "
                 "project's root")
    images = []
    for s in range(SAMPLES):
        images.append([sum(pixels[s * 784 + (4 * y + dy) * 28 + 4 * x + dx]
                           for dy in range(4) for dx in range(4)) / (16 * 90.0) - 0.8
                       for y in range(SIDE) for x in range(SIDE)])
    return images, labels


class Perceptron:
    """Weights live in float32 arrays, so that the library can change them."""

    def __init__(self):
        draw = random.Random(1)
        self.w1 = (c_float * (HIDDEN * INPUTS))(*[draw.uniform(-.14, .14)
                                                  for _ in range(HIDDEN * INPUTS)])
        self.b1 = (c_float * HIDDEN)()
        self.w2 = (c_float * (CLASSES * HIDDEN))(*[draw.uniform(-.29, .29)
                                                   for _ in range(CLASSES * HIDDEN)])
        self.b2 = (c_float * CLASSES)()

    def tensors(self):
        """(name, array, shape, flags) in order."""
        return [(b"hidden.weight", self.w1, (HIDDEN, INPUTS), WEIGHT),
                (b"hidden.bias", self.b1, (HIDDEN,), BIAS),
                (b"output.weight", self.w2, (CLASSES, HIDDEN), WEIGHT),
                (b"output.bias", self.b2, (CLASSES,), BIAS)]

    def rows(self):
        """Plain lists: reading an array element by element is slow."""
        w1, w2 = list(self.w1), list(self.w2)
        return ([w1[h * INPUTS:(h + 1) * INPUTS] for h in range(HIDDEN)], list(self.b1),
                [w2[c * HIDDEN:(c + 1) * HIDDEN] for c in range(CLASSES)], list(self.b2))


def forward(rows, x):
    w1, b1, w2, b2 = rows
    hidden = [max(0.0, b + sum(map(float.__mul__, row, x))) for row, b in zip(w1, b1)]
    return hidden, [b + sum(map(float.__mul__, row, hidden)) for row, b in zip(w2, b2)]


def cross_entropy(logits, label):
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    return math.log(sum(powers)) + top - logits[label], powers


def train(net, images, labels):
    rate = 0.03
    order = list(range(SAMPLES))
    draw = random.Random(2)
    rows = net.rows()
    w1, b1, w2, b2 = rows
    for _ in range(EPOCHS):
        draw.shuffle(order)
        for s in order:
            hidden, logits = forward(rows, images[s])
            _, powers = cross_entropy(logits, labels[s])
            total = sum(powers)
            error = [p / total - (c == labels[s]) for c, p in enumerate(powers)]
            back = [sum(error[c] * w2[c][h] for c in range(CLASSES)) for h in range(HIDDEN)]
            for c in range(CLASSES):
                b2[c] -= rate * error[c]
                w2[c] = [w - rate * error[c] * a for w, a in zip(w2[c], hidden)]
            for h in range(HIDDEN):
                if hidden[h] > 0:
                    b1[h] -= rate * back[h]
                    w1[h] = [w - rate * back[h] * a for w, a in zip(w1[h], images[s])]
    net.w1[:] = sum(w1, [])
    net.b1[:] = b1
    net.w2[:] = sum(w2, [])
    net.b2[:] = b2


# ---- what the library sees of it -------------------------------------------------------------------


def make_objective(context, net, images, labels):
    """The objective, and what must live as long as it does."""

    def loss(_objective, index, n, losses, total, count):
        try:
            rows = net.rows()
            added, wrong = 0.0, 0
            for i in range(n):
                s = index[i] if index else i
                _, logits = forward(rows, images[s])
                value, _ = cross_entropy(logits, labels[s])
                wrong += logits.index(max(logits)) != labels[s]
                added += value
                if losses:
                    losses[i] = value
            total[0] = added
            if count:
                count[0] = wrong
            return OK
        except Exception as error:  # must not travel through C
            print("loss:", error, file=sys.stderr)
            return CALLBACK_FAILED

    parts = net.tensors()
    tensors = (Tensor * len(parts))()
    for tensor, (name, array, shape, flags) in zip(tensors, parts):
        tensor.data = ctypes.cast(array, POINTER(c_float))
        tensor.name, tensor.rank, tensor.flags = name, len(shape), flags
        tensor.shape[:len(shape)] = shape
    objective = Objective(context=ctypes.pointer(context), tensors=tensors,
                          tensor_count=len(parts), samples=SAMPLES, classes=CLASSES,
                          nonnegative=1, loss=LOSS(loss))
    return objective, (tensors, loss)


def check(status, context):
    if status != OK:
        sys.exit(f"error: {context.message.decode()}")


def built_prunability(lib, context, net, images, labels):
    """The same network from the library's layers."""
    handle, count, objective = c_void_p(), c_int64(), Objective()
    found = Prunability()
    values = (c_float * (SAMPLES * INPUTS))(*sum(images, []))
    targets = (c_int32 * SAMPLES)(*labels)
    picture = Images(count=SAMPLES, channels=1, height=SIDE, width=SIDE, classes=CLASSES,
                     values=values, labels=targets)
    check(lib.prun_net_create(byref(context), 1, SIDE, SIDE, byref(handle)), context)
    value = lib.prun_layer_linear(handle, 0, b"hidden", HIDDEN, 1)
    value = lib.prun_layer_relu(handle, value)
    value = lib.prun_layer_linear(handle, value, b"output", CLASSES, 1)
    check(lib.prun_net_finish(handle, value, 0), context)
    tensors = lib.prun_net_tensors(handle, byref(count))
    for i, (_, array, _, _) in enumerate(net.tensors()):
        ctypes.memmove(tensors[i].data, array, ctypes.sizeof(array))
    check(lib.prun_net_objective(handle, byref(picture), byref(objective)), context)
    check(lib.prun_prunability_search(byref(objective), None, byref(found)), context)
    lib.prun_net_free(handle)
    return found


def library_path(arguments):
    """What the command line names; prints the usage and ends where that is asked for."""
    if "-h" in arguments or "--help" in arguments:
        print(f"usage: own_network.py [LIBRARY]\n\n{__doc__.strip()}\n\n"
              "LIBRARY: the shared library [libprunability.so]; make lib puts it into build/.")
        return None
    wrong = [a for a in arguments if a.startswith("-")] or arguments[1:]
    if wrong:
        print(f"error: unexpected argument {wrong[0]!r}; see --help", file=sys.stderr)
        sys.exit(2)
    return arguments[0] if arguments else "libprunability.so"


def main():
    path = library_path(sys.argv[1:])
    if path is None:
        return 0
    lib = load(path)
    context, own, count = Context(), Prunability(), c_int64()
    images, labels = read_data()
    net = Perceptron()
    train(net, images, labels)
    objective, _alive = make_objective(context, net, images, labels)

    table = lib.prun_measures(byref(count))
    wanted = bytearray(count.value)
    for name in (b"prunability", b"sum_of_frobenius", b"prod_of_spectral", b"train_loss"):
        wanted[lib.prun_measure_find(name)] = 1
    results = (MeasureResult * count.value)()
    check(lib.prun_measure_all(byref(objective), (c_char * len(wanted)).from_buffer(wanted), None,
                               results), context)
    for i in range(count.value):
        if wanted[i]:
            print(f"{table[i].name.decode():<18} {results[i].value:12.6g}  "
                  f"{results[i].message.decode()}")

    check(lib.prun_prunability_search(byref(objective), None, byref(own)), context)
    built = built_prunability(lib, context, net, images, labels)
    for who, found in (("in Python:     ", own), ("by the library:", built)):
        print(f"prunability {who} {found.answer[0].kept_fraction:.2f} of {found.prunable} weights, "
              f"base loss {found.base_loss:.9f}")
    same = own.answer[0].kept == built.answer[0].kept and \
        abs(own.answer[0].loss - built.answer[0].loss) <= 1e-5 * built.answer[0].loss
    print("They agree." if same else "They differ.")
    return 0 if same else 1


def run(program):
    """Exit status of a program: 1 if it cannot print, and Ctrl-C ends it without a trace of calls."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        status = program()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except OSError as error:
        print(f"error: standard output: {error}", file=sys.stderr)
        os._exit(1)  # an ordinary exit would try to print once more
    return 1


if __name__ == "__main__":
    sys.exit(run(main))
