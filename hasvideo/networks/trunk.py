"""What the image architectures share: the form in which they give their convolutions, and a convolution's parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import nn


class Trunk(NamedTuple):
    """An architecture's convolutions: the first layer, the rest, and the channels that each gives."""

    first: nn.Module
    rest: nn.Module
    first_channels: int
    channels: int


def scale(channels: Iterable[int], width: float) -> list[int]:
    """Numbers of channels times ``width``, rounded, at least 1."""
    return [max(1, round(c * width)) for c in channels]


def convolution(into: int, out: int, kernel: int, stride: int, padding: int, batch_norm: bool) -> nn.Sequential:
    """Convolution, batch norm where wanted, ReLU.

    Without batch norm the weights start as He et al. (ICCV 2015) draw them: torch's own are too small for answers to
    keep their size over many layers.
    """
    layer = nn.Conv2d(into, out, kernel, stride, padding, bias=not batch_norm)
    if batch_norm:
        return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU(inplace=True))
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.ReLU(inplace=True))
