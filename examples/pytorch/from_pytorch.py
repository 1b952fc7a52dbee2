#!/usr/bin/env python3
"""Exports a network from PyTorch to prunability.h: trains one of the paper's families or a VGG (or
loads its state_dict), writes the weights as safetensors and the images as NumPy arrays, computes
every measure, and compares the losses of both sides. Needs only PyTorch (apt-get install
python3-torch) and the C programs (make examples).

    python3 examples/pytorch/from_pytorch.py --family cnn --width 8 --out build/cnn

writes into build/cnn: net.safetensors; after training also initial.safetensors (the initial
weights) and history.csv (a row per epoch); train-images.npy, train-labels.npy, test-images.npy and
test-labels.npy. The C programs read these files. Exit status: 0 if the losses agree, 1 if not.
"""
import argparse
import contextlib
import ctypes
import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    if "--help" in sys.argv or "-h" in sys.argv:
        try:
            print(__doc__.strip(), flush=True)
        except OSError as error:
            os.close(1)  # otherwise the interpreter would try again at exit
            sys.exit(f"error: standard output: {error.strerror}")
        sys.exit(0)
    sys.exit("error: PyTorch is not installed: apt-get install python3-torch, or pip install torch")

# ---- the networks, with the names that prunability.h gives their tensors ----


class CNN(nn.Module):
    """prun_net_create_cnn: 3x3 convolutions to k, 2k, 4k, 8k channels."""

    def __init__(self, width, channels=1, classes=10, **_):
        super().__init__()
        for i in range(4):
            outputs = width << i
            setattr(self, f"conv{i}", nn.Conv2d(channels, outputs, 3, 1, 1))
            setattr(self, f"bn{i}", nn.BatchNorm2d(outputs))
            channels = outputs
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        for i in range(4):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
            if i > 0:
                x = F.max_pool2d(x, 2)
        return self.fc(F.max_pool2d(x, 4).flatten(1))


class NiN(nn.Module):
    """prun_net_create_nin: blocks of a 3x3 convolution of stride 2 and two 1x1. Padding (one zero
    after the image) and batch-norm constants are TensorFlow's, as in the library by default."""

    def __init__(self, width, depth=3, channels=1, classes=10, dropout=0.0, size=32, **_):
        super().__init__()
        self.depth, self.dropout = depth, dropout
        for b in range(depth):
            for j in range(3):
                conv = nn.Conv2d(channels, width, 3 if j == 0 else 1, 2 if j == 0 else 1)
                setattr(self, f"block{b}_conv{j}", conv)
                setattr(self, f"block{b}_bn{j}", nn.BatchNorm2d(width, eps=1e-3, momentum=0.01))
                channels = width
            size = (size + 1) // 2
        self.head = nn.Conv2d(width, classes, min(4, size))

    def forward(self, x):
        for b in range(self.depth):
            x = F.pad(x, (x.shape[3] % 2, 1, x.shape[2] % 2, 1))
            for j in range(3):
                x = F.relu(getattr(self, f"block{b}_bn{j}")(getattr(self, f"block{b}_conv{j}")(x)))
            x = F.dropout(x, self.dropout, self.training)
        return self.head(x).mean((2, 3))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (x if self.shortcut is None else self.shortcut(a))


class ResNet18(nn.Module):
    """prun_net_create_resnet18: pre-activation, without a norm before the final mean."""

    def __init__(self, width, channels=1, classes=10, **_):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        inputs, self.blocks = width, []
        for stage in range(4):
            for b in range(2):
                stride = 2 if stage > 0 and b == 0 else 1
                name = f"layer{stage + 1}_{b}"
                setattr(self, name, Block(inputs, width << stage, stride))
                self.blocks.append(name)
                inputs = width << stage
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.conv1(x)
        for name in self.blocks:
            x = getattr(self, name)(x)
        return self.linear(x.mean((2, 3)))


class VGG(nn.Module):
    """VGG11 with batch norm and torchvision's names, for 32x32 images and any width. Its classifier
    takes the single position left by five poolings.
    examples/pytorch/vgg_from_pytorch.c reads it."""

    def __init__(self, width, channels=1, classes=10, **_):
        super().__init__()
        layers = []
        for step in (1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0):
            if step == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, step * width, 3, 1, 1), nn.BatchNorm2d(step * width),
                       nn.ReLU()]
            channels = step * width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(0.2),
                                        nn.Linear(channels, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


FAMILIES = {"cnn": CNN, "nin": NiN, "resnet18": ResNet18, "vgg": VGG}

# ---- files ----

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64",
          torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
          torch.uint8: "U8", torch.bool: "BOOL"}


@contextlib.contextmanager
def output(path):
    """Opens a file that is written whole or not at all, as the library does: to a temporary file
    beside the target, which is then renamed over it. Links are followed and the mode is kept; pipes
    and devices are written in place."""
    path = os.path.realpath(path)
    there = os.path.exists(path)
    if there and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    if there and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    umask = os.umask(0)
    os.umask(umask)
    handle, temporary = tempfile.mkstemp(".tmp", f".{os.path.basename(path)}.{os.getpid()}-",
                                         os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, os.stat(path).st_mode & 0o777 if there else 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def tensor_bytes(tensor):
    """The elements in row-major order, little-endian (as on every machine PyTorch is built for)."""
    tensor = tensor.detach().cpu().contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def save_safetensors(path, tensors, metadata=None):
    header, data, at = {}, [], 0
    if metadata:
        header["__metadata__"] = {key: str(value) for key, value in metadata.items()}
    for name, tensor in tensors.items():
        data.append(tensor_bytes(tensor))
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(data[-1])]}
        at += len(data[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with output(path) as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def load_safetensors(path):
    """Returns tensors by name; for networks trained in C."""
    dtypes = {name: dtype for dtype, name in DTYPES.items()}
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensor = torch.zeros(0, dtype=dtypes[entry["dtype"]])
        if end > begin:
            tensor = torch.frombuffer(data[begin:end], dtype=dtypes[entry["dtype"]])
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors


NUMPY_TYPES = {torch.float32: "<f4", torch.float16: "<f2", torch.float64: "<f8", torch.int64: "<i8",
               torch.uint8: "|u1"}


def save_npy(path, tensor):
    shape = "".join(f"{size}, " for size in tensor.shape)
    text = (f"{{'descr': '{NUMPY_TYPES[tensor.dtype]}', 'fortran_order': False, "
            f"'shape': ({shape}), }}")
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    with output(path) as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        file.write(tensor_bytes(tensor))


def load_idx(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    dims = data[3]
    sizes = struct.unpack(f">{dims}I", data[4:4 + 4 * dims])
    return torch.frombuffer(data, dtype=torch.uint8, offset=4 + 4 * dims).reshape(sizes)


def load_data(directory):
    """Training and test set as (images, labels). Images are padded to 32x32 and standardised by the
    training set's mean and standard deviation."""
    if not os.path.isfile(os.path.join(directory, "fashion-mnist-train-images.idx3-ubyte")):
        sys.exit(f"error: {directory!r}: no fashion-mnist-train-images.idx3-ubyte in it; --data DIR "
                 "names the directory of the IDX files")
    sets = []
    for part in ("train", "test"):
        images = load_idx(os.path.join(directory, f"fashion-mnist-{part}-images.idx3-ubyte"))
        labels = load_idx(os.path.join(directory, f"fashion-mnist-{part}-labels.idx1-ubyte"))
        sets.append((F.pad(images, (2, 2, 2, 2)).unsqueeze(1).double() / 255, labels.long()))
    mean, deviation = sets[0][0].mean(), sets[0][0].std(unbiased=False)
    return [(((images - mean) / deviation).float(), labels) for images, labels in sets]


# ---- training and losses ----


def gradient_noise(net, images, labels, batch=128, pairs=8):
    """Variance of the gradient of a batch, averaged over the parameters, in eval mode: half the
    mean squared difference of the gradients of two random batches."""
    net.eval()
    order = torch.randperm(len(labels))[:2 * pairs * batch].split(batch)
    gradients = []
    for index in order:
        loss = F.cross_entropy(net(images[index]), labels[index])
        parts = torch.autograd.grad(loss, list(net.parameters()))
        gradients.append(torch.cat([part.flatten() for part in parts]))
    differences = [a - b for a, b in zip(gradients[0::2], gradients[1::2])]
    return sum(d.square().mean().item() for d in differences) / (2 * len(differences))


def train(net, images, labels, epochs, rate, batch=64, weight_decay=1e-4):
    """Returns the history: steps taken, mean loss and gradient noise (of the first epoch)."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1))
    history, steps = [], 0
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for index in torch.randperm(len(labels)).split(batch):
            loss = F.cross_entropy(net(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
            steps += 1
        schedule.step()
        noise = f"{gradient_noise(net, images, labels):.9g}" if epoch == 0 else ""
        history.append(f"{epoch + 1},{steps},{total / len(labels):.9g},{noise}")
        print(f"epoch {epoch + 1} of {epochs}: training loss {total / len(labels):.4f}", flush=True)
    return history


def evaluate(net, images, labels):
    """Mean cross-entropy (the softmax in double) and share of wrong answers in eval mode."""
    net.eval()
    loss = errors = 0
    with torch.no_grad():
        for x, y in zip(images.split(250), labels.split(250)):
            logits = net(x.to(next(net.parameters()).dtype))
            loss += F.cross_entropy(logits.double(), y, reduction="sum").item()
            errors += (logits.argmax(1) != y).sum().item()
    return loss / len(labels), errors / len(labels)


def run(command):
    """Runs a C program, prints its output and returns it."""
    print("$ " + " ".join(command), flush=True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, check=False)
    except OSError as error:
        sys.exit(f"error: {error}; build it with make examples")
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        sys.exit(f"error: {command[0]} exited with status {done.returncode}")
    return done.stdout


def loss_of(command):
    """The loss that a program prints as "loss X"."""
    found = re.search(r"^loss ([0-9.e+-]+)", run(command), re.MULTILINE)
    if not found:
        sys.exit(f"error: {command[0]} prints no loss")
    return float(found.group(1))


def measure_command(options, path):
    """The command for all measures; for a family with the files of its training, if present."""
    if options.family == "vgg":
        return [*program_command(options, path, "train"), "--measure", "--hessian-images",
                str(options.hessian_images)]
    command = [options.measure_program, "--checkpoint", path, "--arch", options.family,
               "--npy", options.out, "--csv", os.path.join(options.out, "measures.csv"),
               "--images", str(options.measure_images),
               "--hessian-images", str(options.hessian_images)]
    for option, name in (("--initial", "initial.safetensors"), ("--history", "history.csv")):
        if os.path.exists(os.path.join(options.out, name)):
            command += [option, os.path.join(options.out, name)]
    return command + (["--fast"] if options.measure == "fast" else [])


def program_command(options, path, part):
    """The command that computes the loss: vgg_from_pytorch for a VGG, otherwise checkpoint."""
    images = [os.path.join(options.out, f"{part}-{kind}.npy") for kind in ("images", "labels")]
    default = "vgg_from_pytorch" if options.family == "vgg" else "checkpoint"
    program = options.program or os.path.join("build", default)
    family = [] if options.family == "vgg" else ["--family", options.family]
    return [program, path, *family, "--images", images[0], "--labels", images[1]]


def needed_programs(options):
    programs = [program_command(options, "", "train")[0]]
    if options.measure != "none":
        programs.append(measure_command(options, "")[0])
    return programs


WRITTEN = ["net.safetensors", "initial.safetensors", "history.csv", "measures.csv",
           "train-images.npy", "train-labels.npy", "test-images.npy", "test-labels.npy"]


def check_outputs(options):
    """Makes the directory before the training, and refuses to overwrite the input."""
    try:
        os.makedirs(options.out, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
    except OSError as error:
        sys.exit(f"error: --out {options.out!r}: {error.strerror}")
    for name in WRITTEN:
        path = os.path.join(options.out, name)
        if os.path.exists(path) and not os.access(path, os.W_OK):
            sys.exit(f"error: {path!r} is not writable")
        if os.path.isdir(path):
            sys.exit(f"error: {path!r} is a directory; a file is to be written there")
        if options.load and os.path.exists(path) and os.path.samefile(path, options.load):
            print(f"error: --load {options.load!r} is a file that this program writes; give another "
                  "--out", file=sys.stderr)
            sys.exit(2)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="cnn")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3, help="blocks of a NiN: 2 to 4")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate")
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", metavar="FILE", help="a state_dict saved by torch.save; no training")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16", "float64"],
                        default="float32", help="type of the weights in the file")
    parser.add_argument("--data", default=os.path.join(here, "..", "data"),
                        help="directory of IDX files")
    parser.add_argument("--out", default="build/from_pytorch", help="directory for the results")
    parser.add_argument("--program", help="program that reads the results [build/checkpoint or "
                        "build/vgg_from_pytorch]")
    parser.add_argument("--measure", choices=["all", "fast", "none"], default="all",
                        help="measures to compute: all takes minutes, fast seconds")
    parser.add_argument("--measure-program", default=os.path.join("build", "measure"))
    parser.add_argument("--measure-images", type=int, default=0,
                        help="training images that measures are computed from; 0: all")
    parser.add_argument("--hessian-images", type=int, default=500,
                        help="images that the measures of curvature are computed from")
    options = parser.parse_args()
    if options.load and not os.path.isfile(options.load):
        sys.exit(f"error: --load {options.load!r}: there is no such file")
    for program in needed_programs(options):
        if not os.path.exists(program):  # fail before the training
            parser.error(f"{program} does not exist: make examples builds it")

    check_outputs(options)
    torch.manual_seed(options.seed)
    sets = dict(zip(("train", "test"), load_data(options.data)))
    net = FAMILIES[options.family](options.width, depth=options.depth)
    if options.load:
        net.load_state_dict(torch.load(options.load, map_location="cpu"))
    else:
        initial = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        history = train(net, *sets["train"], options.epochs, options.rate,
                        weight_decay=options.weight_decay)
    dtype = getattr(torch, options.dtype)
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype).float()  # what the file will hold
    state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
             for name, tensor in net.state_dict().items()}
    before = [os.path.join(options.out, name) for name in ("initial.safetensors", "history.csv")]
    if options.load:  # files of an earlier run belong to another network
        for name in filter(os.path.exists, before):
            os.remove(name)
    else:
        save_safetensors(before[0], initial, {"format": "pt"})
        with output(before[1]) as file:
            text = "\n".join(["epoch,steps,loss,gradient_noise", *history]) + "\n"
            file.write(text.encode("ascii"))
    path = os.path.join(options.out, "net.safetensors")
    losses = {part: evaluate(net, *sets[part])[0] for part in sets}
    metadata = {"format": "pt", "family": options.family, "train_loss": losses["train"],
                "test_loss": losses["test"]}
    if not options.load:
        metadata["weight_decay"] = options.weight_decay
    save_safetensors(path, state, metadata)
    worst = 0.0
    for part, (images, labels) in sets.items():
        save_npy(os.path.join(options.out, f"{part}-images.npy"), images)
        save_npy(os.path.join(options.out, f"{part}-labels.npy"), labels)
        ours = loss_of(program_command(options, path, part))
        difference = abs(ours - losses[part]) / losses[part]
        worst = max(worst, difference)
        print(f"{part} loss: PyTorch {losses[part]:.9f}, prunability.h {ours:.9f}, "
              f"relative difference {difference:.1e}")
    if options.measure != "none":
        run(measure_command(options, path))
    return 0 if worst <= 1e-5 else 1


def run_main():
    """Exit status, 1 if it cannot print; Ctrl-C and SIGTERM end the program without a traceback."""

    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        status = main()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        os._exit(1)  # an ordinary exit would try to print once more
    return 1


if __name__ == "__main__":
    sys.exit(run_main())
