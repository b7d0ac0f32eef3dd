"""What the image architectures share: how they hand over their convolutions, and how they make one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import nn

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of the training images of ILSVRC 2012, RGB, 0..255: torchvision's 0.485, 0.456, 0.406."""
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of the same images: torchvision's 0.229, 0.224, 0.225."""


class Pretrained(NamedTuple):
    """Which of torchvision's weights an architecture takes, and the statistics of the images they were trained on."""

    weights: str  # an enum of torchvision.models and its member
    layers: Mapping[str, str]  # torchvision's name of a layer: the GapNetwork's
    mean: tuple[float, float, float] = IMAGENET_MEAN  # RGB, 0..255
    std: tuple[float, float, float] = IMAGENET_STD


class Trunk(NamedTuple):
    """An architecture's convolutions: first layer, the rest, the channels of both; and weights to start from."""

    first: nn.Module
    rest: nn.Module
    first_channels: int
    channels: int
    pretrained: Pretrained | None = None


def scale(channels: Iterable[int], width: float) -> list[int]:
    """Multiply numbers of channels by ``width``, rounded, at least 1."""
    return [max(1, round(c * width)) for c in channels]


def convolution(into: int, out: int, kernel: int, stride: int, padding: int, batch_norm: bool) -> nn.Sequential:
    """Make a convolution with ReLU, and batch norm between them if wanted.

    Without batch norm the weights are drawn as in He et al. (ICCV 2015): with torch's own, which are smaller, signals
    fade over many layers.
    """
    layer = nn.Conv2d(into, out, kernel, stride, padding, bias=not batch_norm)
    if batch_norm:
        return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU(inplace=True))
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.ReLU(inplace=True))
