"""What the image architectures share: the form in which they give their convolutions, and a convolution's parts."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Trunk(NamedTuple):
    """An architecture's convolutions: the first layer, the rest, and the channels that each gives."""

    first: nn.Module
    rest: nn.Module
    first_channels: int
    channels: int


def convolution(into: int, out: int, kernel: int, stride: int, padding: int, batch_norm: bool) -> nn.Sequential:
    """Convolution, batch norm where wanted, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(into, out, kernel, stride, padding, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(out))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))
