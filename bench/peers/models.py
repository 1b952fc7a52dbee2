"""The three network families in PyTorch, as bench/networks.c builds them."""
import os
import sys

import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                                "examples", "pytorch"))
from from_pytorch import Block  # noqa: E402


def conv_norm_relu(inputs, outputs, kernel, stride, padding):
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs),
            nn.ReLU()]


def cnn(width, channels=3, classes=10):
    """3x3 convolutions to k, 2k, 4k, 8k channels, pooled by 2, 2, 2 and 4, and a classifier."""
    layers, inputs = [], channels
    for i in range(4):
        outputs = width << i
        layers += conv_norm_relu(inputs, outputs, 3, 1, 1)
        if i > 0:
            layers.append(nn.MaxPool2d(2))
        inputs = outputs
    return nn.Sequential(*layers, nn.MaxPool2d(4), nn.Flatten(), nn.Linear(inputs, classes))


def nin(width, depth=3, channels=3, classes=10):
    """`depth` blocks of a 3x3 convolution of stride 2 and two 1x1; one VALID convolution last."""
    layers, inputs = [], channels
    for _ in range(depth):
        layers += conv_norm_relu(inputs, width, 3, 2, 1)
        layers += conv_norm_relu(width, width, 1, 1, 0)
        layers += conv_norm_relu(width, width, 1, 1, 0)
        inputs = width
    head = min(4, 32 >> depth)
    return nn.Sequential(*layers, nn.Conv2d(inputs, classes, head), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten())


def resnet18(width, channels=3, classes=10):
    """Pre-activation ResNet18; no norm before the final mean."""
    layers, inputs = [nn.Conv2d(channels, width, 3, 1, 1, bias=False)], width
    for stage in range(4):
        for block in range(2):
            outputs = width << stage
            layers.append(Block(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(inputs, classes))


CASES = {
    "cnn-8": lambda: cnn(8),
    "cnn-16": lambda: cnn(16),
    "cnn-64": lambda: cnn(64),
    "nin-48": lambda: nin(48),
    "nin-192": lambda: nin(192),
    "resnet18-8": lambda: resnet18(8),
    "resnet18-64": lambda: resnet18(64),
}


def make(case):
    torch.manual_seed(0)
    return CASES[case]()
