"""A fully convolutional network for segmentation on the convolutions of AlexNet-GAP.

============== ==================== ======== ==========================================
layer          classes' scores from stride   with
============== ==================== ======== ==========================================
conv1          max pool 1 takes it  4        ``skips = 2``, as FCN-8s has a second skip
conv2          max pool 2 takes it  8        ``skips = 1`` and ``2``, as FCN-16s
conv3 - conv7  conv7                16       always; alone (``skips = 0``) as FCN-32s
============== ==================== ======== ==========================================

Strides are in pixels; ``half_size`` halves them. Long et al. call their variants by the stride of the finest map that
is scored, which is 32, 16 or 8 there. AlexNet-GAP has no last pooling, so that the same variants have 16, 8 and 4 here.

conv6 and conv7 are the classifier made convolutional: AlexNet-GAP is convolutional up to its GAP, and what its head
knows is of other classes. As in Long et al., classes are scored by 1 x 1 convolutions that start at zero, scores are
brought to the next finer map by transposed convolutions that start bilinear and learn, and to pixels by one that stays
bilinear. Unlike there, nothing is padded by 100 pixels and cropped by an offset: the cells' places are known, so that
every map is laid exactly where its cells look, for images of any size.

Source: Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation" (CVPR 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.errors import UsageError
from hasvideo.networks import alexnet
from hasvideo.networks.config import FcnConfig, ImageConfig
from hasvideo.networks.gap import GapNetwork, normalise


class Fcn(nn.Module):
    """Score every class at every pixel of an image.

    >>> scores = Fcn(FcnConfig(num_classes=21, skips=2))(images)  # (B, 21, H, W) of images (B, 3, H, W)

    The statistics of the training images are buffers of the network, ``image_mean`` and ``image_std``, as in
    :class:`hasvideo.networks.gap.GapNetwork`.

    Args:
        config: number of classes, width and skips.
    """

    image_mean: Tensor
    image_std: Tensor
    rest: nn.Sequential

    def __init__(self, config: FcnConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("image_mean", torch.zeros(3))
        self.register_buffer("image_std", torch.ones(3))
        trunk = alexnet.trunk(
            ImageConfig("alexnet", width=config.width, batch_norm=config.batch_norm, half_size=config.half_size)
        )
        assert isinstance(trunk.rest, nn.Sequential)
        self.first, self.rest = trunk.first, trunk.rest
        layers = [self.first, *self.rest]
        self._windows = [_window(layer) for layer in layers]
        pooled = [number for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        scored = [len(layers), *reversed(pooled)][: config.skips + 1]  # numbers of layers before each scored map
        grids = [_grid(self._windows[:number]) for number in scored]
        channels = [_convolution(layers[number - 1]).out_channels for number in scored]
        self.scores = nn.ModuleList(_zero_scores(width, config.num_classes) for width in channels)
        self.doubling = nn.ModuleList(
            Upsampling(config.num_classes, coarse.seen_from(fine)) for coarse, fine in pairwise(grids)
        )
        self.to_pixels = Upsampling(config.num_classes, grids[-1]).requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Score pixels: logits ``(B, C, H, W)``, float32, of RGB images ``(B, 3, H, W)``, uint8 or float 0..255."""
        height, width = images.shape[-2:]
        x = normalise(images, self.image_mean, self.image_std).contiguous(memory_format=torch.channels_last)
        x = F.pad(x, (0, self._lacking(width), 0, self._lacking(height)))  # zero is the mean colour here
        maps: list[Tensor] = []
        for layer in (self.first, *self.rest):
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        scores = self.scores[0](x)
        for score, doubling, finer in zip(self.scores[1:], self.doubling, reversed(maps), strict=False):
            scores = doubling(scores, finer.shape[-2:]) + score(finer)
        return self.to_pixels(scores, (height, width))

    def _lacking(self, size: int) -> int:
        """Count the pixels to add to a side of ``size`` pixels, so that cells cover it to the end.

        Covered means: no pixel is further from the centre of the last cell than that is from the one before.
        """
        grid = _grid(self._windows)
        needed = max(1, math.ceil((size - 1 - grid.first) / grid.stride))
        for kernel, stride, padding in reversed(self._windows):
            needed = (needed - 1) * stride + kernel - 2 * padding
        return max(0, needed - size)


class Window(NamedTuple):
    """What one answer of a layer sees of its input, along either side."""

    kernel: int
    stride: int
    padding: int


class Grid(NamedTuple):
    """Where the cells of a map lie on a finer one, or on the image: cell i is centred on ``first + i * stride``."""

    stride: int
    first: float

    def seen_from(self, finer: Grid) -> Grid:
        """Give the place of these cells on another, finer grid of the same image."""
        return Grid(self.stride // finer.stride, (self.first - finer.first) / finer.stride)


class Upsampling(nn.Module):
    """Scale maps to a finer grid, each channel by itself; bilinear before training, exact up to the border.

    Beyond its outermost cells a map keeps the values of these.

    Args:
        channels: of the maps.
        grid: where the maps' cells lie on the finer grid: on its cells, or half-way between.
    """

    def __init__(self, channels: int, grid: Grid) -> None:
        super().__init__()
        kernel = 2 * grid.stride - (1 if float(grid.first).is_integer() else 0)
        hat = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / grid.stride
        self.weight = nn.Parameter((hat[:, None] * hat).expand(channels, 1, kernel, kernel).clone())
        self.stride = grid.stride
        self.start = round(grid.stride + (kernel - 1) / 2 - grid.first)

    def forward(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Scale maps ``(B, C, h, w)`` to float32 ``(B, C, *size)``."""
        with torch.autocast(maps.device.type, enabled=False):  # half precision would blur pixels, and is slower here
            x = F.pad(maps.float(), (1, 1, 1, 1), mode="replicate").contiguous(memory_format=torch.channels_last)
            x = F.conv_transpose2d(x, self.weight, stride=self.stride, groups=len(self.weight))
        return x[..., self.start : self.start + size[0], self.start : self.start + size[1]]


def load_encoder(network: Fcn, backbone: GapNetwork, name: str) -> str:
    """Start a network from a classifier's convolutions and image statistics.

    Args:
        network: changed in place.
        backbone: the classifier, trained with or without hiding.
        name: of the backbone, for messages.

    Returns:
        One line that says which layers were loaded.

    Raises:
        UsageError: the backbone is not the same AlexNet.
    """
    ours, theirs = network.config, backbone.config
    wanted = {"architecture": "alexnet", "width": ours.width, "batch_norm": ours.batch_norm}
    wanted["half_size"] = ours.half_size
    other = [f"{key} {getattr(theirs, key)} instead of {value}" for key, value in wanted.items()
             if getattr(theirs, key) != value]  # fmt: skip
    if other:
        raise UsageError(f"backbone {name} does not fit the network: it has {', '.join(other)}")
    network.first.load_state_dict(backbone.first.state_dict())
    network.rest.load_state_dict(backbone.rest.state_dict())
    network.image_mean.copy_(backbone.image_mean)
    network.image_std.copy_(backbone.image_std)
    number = sum(isinstance(layer, nn.Conv2d) for part in (network.first, network.rest) for layer in part.modules())
    return f"conv1 to conv{number} and the image statistics are from {name}; the class scores start at zero"


def _window(layer: nn.Module) -> Window:
    pool = layer if isinstance(layer, nn.MaxPool2d) else _convolution(layer)
    sizes = pool.kernel_size, pool.stride, pool.padding
    return Window(*(size if isinstance(size, int) else int(size[0]) for size in sizes))


def _convolution(layer: nn.Module) -> nn.Conv2d:
    """Get the convolution of a layer, which batch norm and ReLU may follow."""
    found = next(layer.children())
    assert isinstance(found, nn.Conv2d)
    return found


def _grid(windows: Sequence[Window]) -> Grid:
    """Compute where the cells of the last layer lie on the image."""
    step, first = 1, 0.0
    for kernel, stride, padding in windows:
        first += step * ((kernel - 1) / 2 - padding)
        step *= stride
    return Grid(step, first)


def _zero_scores(channels: int, classes: int) -> nn.Conv2d:
    score = nn.Conv2d(channels, classes, 1)
    nn.init.zeros_(score.weight)
    nn.init.zeros_(score.bias)  # type: ignore[arg-type]
    return score
