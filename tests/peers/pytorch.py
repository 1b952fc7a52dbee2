"""Losses on both sides of a checkpoint: trained in PyTorch and read here, trained here and read in
PyTorch, for the three families and a VGG. Run by pytorch.sh, which finds a Python with PyTorch.

    pytorch.py BUILD DATA    programs checkpoint, vgg_from_pytorch and train in BUILD
"""
import os
import subprocess
import sys
import tempfile

import torch
from torch import nn

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                                "examples", "pytorch"))
import from_pytorch as peer  # noqa: E402

TOLERANCE = 1e-5
TRAIN, TEST = 800, 1000
counts = {"passed": 0, "failed": 0}


def loss_of(*command):
    output = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, check=True)
    return float(next(line for line in output.stdout.splitlines()
                      if line.startswith("loss ")).split()[1])


def judge(holds, what):
    counts["passed" if holds else "failed"] += 1
    print("ok  " if holds else "FAIL", what, flush=True)


def compare(what, theirs, ours):
    difference = abs(theirs - ours) / abs(theirs)
    judge(difference <= TOLERANCE, f"{what}: PyTorch {theirs:.9f}, here {ours:.9f}, "
          f"relative difference {difference:.1e}")


def main():
    build, data = sys.argv[1:]
    torch.manual_seed(3)
    torch.set_num_threads(1)
    sets = peer.load_data(data)
    cut = [(images[:n], labels[:n]) for (images, labels), n in zip(sets, (TRAIN, TEST))]
    with tempfile.TemporaryDirectory() as work:
        paths = []
        for part, arrays in zip(("train", "test"), cut):
            for kind, tensor in zip(("images", "labels"), arrays):
                paths.append(os.path.join(work, f"{part}-{kind}.npy"))
                peer.save_npy(paths[-1], tensor)
        checkpoint = os.path.join(work, "net.safetensors")
        test = cut[1]
        for family, width, dtype in (("cnn", 6, torch.float32), ("nin", 10, torch.float32),
                                     ("resnet18", 4, torch.float32), ("cnn", 3, torch.float16),
                                     ("nin", 7, torch.bfloat16), ("resnet18", 3, torch.float64),
                                     ("vgg", 4, torch.float32)):
            for depth in (2, 3, 4) if family == "nin" and width == 10 else (3,):
                net = peer.FAMILIES[family](width, depth=depth, dropout=0.1)
                for module in net.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.momentum = 0.2  # too few steps for 0.01
                with open(os.devnull, "w", encoding="ascii") as sys.stdout:
                    peer.train(net, *cut[0], 3, 0.02, 32)
                sys.stdout = sys.__stdout__
                state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                         for name, tensor in net.state_dict().items()}
                peer.save_safetensors(checkpoint, state, {"format": "pt"})
                net.load_state_dict(state)
                command = [os.path.join(build, "vgg_from_pytorch" if family == "vgg" else "checkpoint"),
                           checkpoint, "--images", paths[2], "--labels", paths[3]]
                compare(f"{family} of width {width}, depth {depth}, {dtype}, trained in PyTorch",
                        peer.evaluate(net, *test)[0], loss_of(*command))
                compare("    the same in double", peer.evaluate(net.double(), *test)[0],
                        loss_of(*command))
                if family == "nin" and dtype == torch.float32:
                    other = loss_of(*command, "--pytorch-nin")
                    judge(abs(other - loss_of(*command)) > 1e-4,
                          f"    other padding and epsilon are noticed: {other:.9f}")
        for family, width in (("cnn", 6), ("nin", 10), ("resnet18", 4)):
            ours = loss_of(os.path.join(build, "train"), family, str(width), "3", *paths, checkpoint)
            tensors = peer.load_safetensors(checkpoint)
            net = peer.FAMILIES[family](width)
            missing, extra = net.load_state_dict(tensors, strict=False)
            known = all(name.endswith("num_batches_tracked") for name in missing) and \
                all(name.startswith("momentum.") for name in extra)
            judge(known, f"{family}: all names fit, but for {missing[:1]} and {extra[:1]}")
            compare(f"{family} of width {width}, trained here", peer.evaluate(net, *test)[0], ours)
    print(f"pytorch: {counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
