#!/usr/bin/env python3
"""own_network.py - measures of a network written in NumPy, without PyTorch.

    python3 examples/pytorch/own_network.py [LIBRARY]          (needs NumPy)

The network is a perceptron. The library gets its float32 weights, which it prunes and perturbs in
place and then restores, and three functions: losses, their gradient, and logits. At the end the
same network is built from the library's own layers with the same weights, and must have the same
prunability.

LIBRARY: path of the shared library [by default found as in prunability.py].
"""
import ctypes
import os
import signal
import sys

if "-h" in sys.argv[1:] or "--help" in sys.argv[1:]:
    try:
        print("usage: own_network.py [LIBRARY]\n\n" + __doc__.strip(), flush=True)
    except OSError as error:
        os.close(1)  # otherwise the interpreter would try again at exit
        sys.exit(f"error: standard output: {error.strerror}")
    sys.exit(0)
try:
    import numpy as np
except ImportError:
    sys.exit("error: NumPy is not installed: apt-get install python3-numpy, or pip install numpy")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples"))
import prunability as P  # noqa: E402

DATA = "examples/data/fashion-mnist-train-"
SIDE, HIDDEN, CLASSES, SAMPLES, EPOCHS = 7, 12, 10, 200, 60


def read_data():
    """Images of 28x28 averaged down to 7x7, and labels."""
    try:
        pixels = np.fromfile(DATA + "images.idx3-ubyte", np.uint8)[16:16 + SAMPLES * 784]
        labels = np.fromfile(DATA + "labels.idx1-ubyte", np.uint8)[8:8 + SAMPLES]
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}; start the program from the "
                 "project's root")
    tiles = pixels.reshape(SAMPLES, SIDE, 4, SIDE, 4).astype(float).mean((2, 4))
    return tiles.reshape(SAMPLES, -1) / 90 - .8, labels.astype(np.int32)


class Perceptron:
    """One hidden layer of ReLUs. Training and the library change the arrays in place."""

    def __init__(self, images, labels):
        draw = np.random.default_rng(1)
        self.images, self.labels = images, labels
        self.w1 = draw.uniform(-.14, .14, (HIDDEN, SIDE * SIDE)).astype(np.float32)
        self.b1 = np.zeros(HIDDEN, np.float32)
        self.w2 = draw.uniform(-.29, .29, (CLASSES, HIDDEN)).astype(np.float32)
        self.b2 = np.zeros(CLASSES, np.float32)

    def forward(self, index):
        """Hidden layer and logits, in double precision."""
        hidden = self.images[index] @ self.w1.T.astype(float) + self.b1
        hidden = np.maximum(hidden, 0)
        return hidden, hidden @ self.w2.T.astype(float) + self.b2

    def losses(self, index):
        """Cross-entropy of each sample, and how many answers are wrong."""
        _, logits = self.forward(index)
        top = logits.max(1, keepdims=True)
        labels = self.labels[index]
        losses = np.log(np.exp(logits - top).sum(1)) + top[:, 0] - \
            logits[np.arange(len(index)), labels]
        return losses, int((logits.argmax(1) != labels).sum())

    def gradient(self, index):
        """Gradient of the summed loss, an array for each tensor."""
        hidden, logits = self.forward(index)
        error = np.exp(logits - logits.max(1, keepdims=True))
        error /= error.sum(1, keepdims=True)
        error[np.arange(len(index)), self.labels[index]] -= 1
        back = (error @ self.w2.astype(float)) * (hidden > 0)
        return [back.T @ self.images[index], back.sum(0), error.T @ hidden, error.sum(0)]

    def train(self):
        draw = np.random.default_rng(2)
        for _ in range(EPOCHS):
            for part in np.array_split(draw.permutation(SAMPLES), SAMPLES // 10):
                for tensor, g in zip((self.w1, self.b1, self.w2, self.b2), self.gradient(part)):
                    tensor -= (.03 * g).astype(np.float32)


def own_objective(net):
    tensors = [P.Tensor("hidden.weight", net.w1, "weight"), P.Tensor("hidden.bias", net.b1, "bias"),
               P.Tensor("output.weight", net.w2, "weight"), P.Tensor("output.bias", net.b2, "bias")]
    return P.Objective(tensors, net.losses, SAMPLES, gradient=net.gradient,
                       logits=lambda index: net.forward(index)[1], labels=net.labels,
                       classes=CLASSES, nonnegative=True)


class BuiltNetwork:
    """The same network built from the library's layers, as in C, for comparison only."""

    def __init__(self, net):
        self.lib = P.load_library()
        c, make = self.lib.c, self.lib.make
        c.prun_net_tensors.restype = ctypes.c_void_p
        self.context, self.handle = make("prun_context"), ctypes.c_void_p()
        self.values = net.images.astype(np.float32)
        self.images = make("prun_images", count=SAMPLES, channels=1, height=SIDE, width=SIDE,
                           classes=CLASSES, values=self.values.ctypes.data,
                           labels=net.labels.ctypes.data)
        count, value, size = ctypes.c_int64(), ctypes.c_int32(0), ctypes.c_int64
        self.check(c.prun_net_create(ctypes.byref(self.context), size(1), size(SIDE), size(SIDE),
                                     ctypes.byref(self.handle)))
        value = c.prun_layer_linear(self.handle, value, b"hidden", size(HIDDEN), 1)
        value = c.prun_layer_relu(self.handle, value)
        value = c.prun_layer_linear(self.handle, value, b"output", size(CLASSES), 1)
        self.check(c.prun_net_finish(self.handle, value, ctypes.c_uint64(0)))
        address = c.prun_net_tensors(self.handle, ctypes.byref(count))
        tensors = (self.lib.structs["prun_tensor"] * count.value).from_address(address)
        for tensor, array in zip(tensors, (net.w1, net.b1, net.w2, net.b2)):
            ctypes.memmove(tensor.data, array.ctypes.data, array.nbytes)

    def check(self, status):
        if status:
            sys.exit(f"error: {self.context.message.decode()}")

    def prunability(self):
        c, make = self.lib.c, self.lib.make
        objective, found = make("prun_objective"), make("prun_prunability")
        self.check(c.prun_net_objective(self.handle, ctypes.byref(self.images),
                                        ctypes.byref(objective)))
        self.check(c.prun_prunability_search(ctypes.byref(objective), None, ctypes.byref(found)))
        c.prun_net_free(self.handle)
        return P.Prunability(found, 0.0, [])


def main():
    arguments = sys.argv[1:]
    wrong = [a for a in arguments if a.startswith("-")] or arguments[1:]
    if wrong:
        print(f"error: unexpected argument {wrong[0]!r}; see --help", file=sys.stderr)
        return 2
    if arguments and not os.path.exists(arguments[0]):
        sys.exit(f"error: there is no {arguments[0]!r}; make lib builds build/libprunability.so")
    try:
        P.load_library(*arguments)
    except P.LibraryError as error:
        sys.exit(f"error: {error}")
    net = Perceptron(*read_data())
    net.train()
    objective = own_objective(net)
    print(P.measure(objective, only=["prunability", "sum_of_frobenius", "prod_of_spectral",
                                     "train_loss", "hessian_largest"]))
    print()
    own, built = P.prunability(objective), BuiltNetwork(net).prunability()
    for who, found in (("in NumPy:      ", own), ("by the library:", built)):
        print(f"prunability {who} {found.kept_fraction:.2f} of {found.prunable} weights, base loss "
              f"{found.base_loss:.9f}")
    same = own.answers[0].kept == built.answers[0].kept and \
        abs(own.answers[0].loss - built.answers[0].loss) <= 1e-5 * built.answers[0].loss
    print("They agree." if same else "They differ.")
    return 0 if same else 1


def run(program):
    """Exit status of a program, 1 if it cannot print. Ctrl-C ends it without a traceback."""
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
