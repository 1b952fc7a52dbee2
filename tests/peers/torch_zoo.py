"""torch_zoo.py - networks of PyTorch that are not the library's families, their training, and the
plain search for prunability.
"""
import collections
import copy
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples", "pytorch"))
from from_pytorch import load_idx  # noqa: E402


class MobileNet(nn.Module):
    """Depthwise and pointwise convolutions, inverted residuals."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8),
                                  nn.ReLU6())
        self.expand = nn.Conv2d(8, 24, 1, bias=False)
        self.depthwise = nn.Conv2d(24, 24, 3, 1, 1, groups=24, bias=False)
        self.project = nn.Conv2d(24, 8, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(24), nn.BatchNorm2d(24), nn.BatchNorm2d(8)])
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x)
        y = F.hardswish(self.norms[0](self.expand(x)))
        y = F.hardswish(self.norms[1](self.depthwise(y)))
        x = x + self.norms[2](self.project(y))
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 24, 2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.lstm(x.squeeze(1))[0][:, -1])


class ViT(nn.Module):
    """Patches, positions, a class token, attention."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 7, 7)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 17, 16) * .02)
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Dropout(.1), nn.Linear(32, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class Tied(nn.Module):
    """One matrix used twice, and an embedding that is also the output layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 12)
        self.inside = nn.Linear(12, 12)
        self.again = self.inside
        self.output = nn.Linear(12, 10, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.embedding(tokens).mean(1)
        return self.output(self.again(torch.tanh(self.inside(x))))


def modular_cnn(width):
    """The library's CNN, each of its layers a module."""
    layers, channels = [], 1
    for i in range(4):
        outputs = width << i
        layers += [(f"conv{i}", nn.Conv2d(channels, outputs, 3, 1, 1)),
                   (f"bn{i}", nn.BatchNorm2d(outputs)), (f"relu{i}", nn.ReLU())]
        if i > 0:
            layers.append((f"pool{i}", nn.MaxPool2d(2)))
        channels = outputs
    layers += [("pool", nn.MaxPool2d(4)), ("flatten", nn.Flatten()),
               ("fc", nn.Linear(channels, 10))]
    return nn.Sequential(collections.OrderedDict(layers))


def perceptron(dtype=torch.float32):
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.Tanh(), nn.Linear(16, 10)).to(dtype)


def train(model, x, y, steps=60, rate=.01):
    model.train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
    for step in range(steps):
        torch.manual_seed(step)
        part = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return model


def mean_loss(model, x, y):
    with torch.no_grad():
        return torch.cat([F.cross_entropy(model(x[i:i + 256]).double(), y[i:i + 256],
                                          reduction="none")
                          for i in range(0, len(x), 256)]).mean().item()


def brute_force(model, x, y, weights, grid, beta=.1, reached=None):
    """The first grid point within the tolerance, the losses at all grid points up to it, and the
    unpruned loss, by pruning a copy with all weights in one ranking. reached: called at the answer;
    if given, the losses continue to the end of the grid."""
    model = copy.deepcopy(model).eval()
    parameters = dict(model.named_parameters())
    flat = torch.cat([parameters[name].detach().float().reshape(-1) for name in weights])
    order = torch.argsort(-flat.abs().double(), stable=True)
    base, n, losses = mean_loss(model, x, y), flat.numel(), []
    originals = {name: parameters[name].detach().clone() for name in weights}
    answer = None
    for i in range(grid + 1):
        keep = torch.zeros(n, dtype=torch.bool)
        keep[order[:(2 * i * n + grid) // (2 * grid)]] = True
        at = 0
        for name in weights:
            p = parameters[name]
            p.data.copy_(originals[name] * keep[at:at + p.numel()].view(p.shape))
            at += p.numel()
        losses.append(mean_loss(model, x, y))
        if answer is None and losses[-1] <= (1 + beta) * base:
            answer = i
            if not reached:
                break
            reached()
    return answer, losses, base


def load_images(folder, n):
    path = os.path.join(folder, "fashion-mnist-train-")
    images = load_idx(path + "images.idx3-ubyte")[:n].unsqueeze(1).float() / 255 - .3
    return images, load_idx(path + "labels.idx1-ubyte")[:n].long()
