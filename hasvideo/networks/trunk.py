"""What the image architectures share: the form in which they give their convolutions, and a convolution's parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import nn

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of the training images of ILSVRC 2012, RGB, 0..255: torchvision's 0.485, 0.456, 0.406."""
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of the same images: torchvision's 0.229, 0.224, 0.225."""


class Pretrained(NamedTuple):
    """What of torchvision's weights an architecture takes, and for what images they were trained."""

    weights: str  # an enum of torchvision.models and its member
    layers: Mapping[str, str]  # torchvision's name of a layer: the GapNetwork's
    mean: tuple[float, float, float] = IMAGENET_MEAN  # RGB, 0..255
    std: tuple[float, float, float] = IMAGENET_STD


class Trunk(NamedTuple):
    """An architecture's convolutions: first layer, the rest, channels that each gives; and weights to start from."""

    first: nn.Module
    rest: nn.Module
    first_channels: int
    channels: int
    pretrained: Pretrained | None = None


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
