#!/usr/bin/env python3
"""compare_trainings.py - two trainings of one PyTorch network, compared by several measures.

The same small network is trained twice from the same initial weights: once plainly, once with
weight decay and augmentation (shifted and mirrored images). The table shows several measures of
both networks beside the generalization gap, and which of them pick the network with the smaller
gap.

    python3 examples/pytorch/compare_trainings.py         (a minute or two; needs torch and NumPy)
"""
import argparse
import copy
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples"))
from from_pytorch import load_idx  # noqa: E402
from prunability import measure  # noqa: E402

MEASURES = ["prunability", "perturbation_flatness", "sum_of_frobenius", "prod_of_spectral",
            "l2_distance", "inverse_margin", "sum_of_train_losses", "gradient_noise_final"]


def load(folder, part, n):
    """Images, scaled to about -1 .. 1, and labels of Fashion-MNIST."""
    path = os.path.join(folder, f"fashion-mnist-{part}-")
    images = load_idx(path + "images.idx3-ubyte")[:n].unsqueeze(1).float() / 127.5 - 1
    return images, load_idx(path + "labels.idx1-ubyte")[:n].long()


def network():
    """Any module will do."""
    return nn.Sequential(nn.Conv2d(1, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
                         nn.Flatten(), nn.Linear(32 * 49, 10))


def augmented(images):
    """Mirrored at random, and shifted by up to two pixels."""
    mirrored = torch.where(torch.rand(len(images), 1, 1, 1) < .5, images, images.flip(3))
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return torch.roll(mirrored, (down, right), (2, 3))


def train(model, images, labels, epochs, weight_decay, augment):
    """Mean losses of the epochs."""
    optimizer = torch.optim.SGD(model.parameters(), .05, momentum=.9, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    history = []
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for part in torch.randperm(len(images)).split(64):
            batch = augmented(images[part]) if augment else images[part]
            loss = F.cross_entropy(model(batch), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        schedule.step()
        history.append(total / len(images))
        if sys.stderr.isatty():
            print(f"\repoch {epoch + 1} of {epochs}, loss {history[-1]:.3f} ", end="",
                  file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return history


def evaluate(model, images, labels):
    """Mean loss and error rate."""
    model.eval()
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in images.split(500)])
    wrong = (outputs.argmax(1) != labels).float().mean().item()
    return F.cross_entropy(outputs, labels).item(), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.path.join(ROOT, "examples", "data"), help="folder of "
                        "the Fashion-MNIST files [%(default)s]")
    parser.add_argument("--images", type=int, default=2000, help="training images [%(default)s]")
    parser.add_argument("--epochs", type=int, default=15, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="[%(default)s]")
    options = parser.parse_args()
    try:
        train_set = load(options.data, "train", options.images)
        test_set = load(options.data, "test", 2000)
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")

    torch.manual_seed(options.seed)
    initial = copy.deepcopy(network().state_dict())
    rows = []
    for name, decay, augment in (("plain", 0.0, False), ("decay and augmentation", 1e-3, True)):
        model = network()
        model.load_state_dict(initial)
        history = train(model, *train_set, options.epochs, decay, augment)
        _, train_error = evaluate(model, *train_set)
        test_loss, test_error = evaluate(model, *test_set)
        print(f"{name}: train error {train_error:.4f}, test error {test_error:.4f}, "
              f"test loss {test_loss:.3f}")
        # measured on the original images, also where the training augmented them
        result = measure(model, train_set, only=MEASURES, initial=initial, history=history,
                         samples=500)
        rows.append((test_error - train_error, result))

    gaps = [gap for gap, _ in rows]
    print(f"\n{'':24}{'plain':>14}{'regularised':>14}   picks the smaller gap")
    print(f"{'generalization gap':24}{gaps[0]:14.4f}{gaps[1]:14.4f}")
    for name in MEASURES:
        first, second = (result[name] for _, result in rows)
        # direction 1: larger values should mean a larger gap
        agrees = first.direction * (second.value - first.value) * (gaps[1] - gaps[0])
        print(f"{name:24}{first.value:14.5g}{second.value:14.5g}   "
              f"{'yes' if agrees > 0 else 'no' if agrees < 0 else '-'}")
    print("-: the source of the measure makes no claim, or the values are equal.")
    print("\nTwo networks are an anecdote; prunability.evaluate() judges measures over many.")


if __name__ == "__main__":
    main()
