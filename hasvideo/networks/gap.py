"""Image classifiers that end in a CAM head: the convolutions of an architecture, and the head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.cam import CamHead
from hasvideo.hiding import PatchHiding
from hasvideo.networks import alexnet, googlenet, resnet
from hasvideo.networks.config import Architecture, ImageConfig
from hasvideo.networks.trunk import Trunk

TRUNKS: dict[Architecture, Callable[[ImageConfig], Trunk]] = {
    "alexnet": alexnet.trunk,
    "googlenet": googlenet.trunk,
    "resnet50": resnet.trunk,
}
"""Architectures by name: each function makes the convolutions that a config describes."""

CONV1_MOMENTUM = 0.01


class GapNetwork(nn.Module):
    """Classify images, and show by the CAM which places of an image spoke for each class.

    >>> network = GapNetwork(ImageConfig("googlenet", num_classes=10))
    >>> scores, cam = network.localize(images)  # (B, 10), (B, 10, 14, 14) of images (B, 3, 224, 224)

    The statistics of the training images are buffers of the network, so that they travel with it. Hidden patches are
    filled with ``image_mean``. It is also subtracted before the first layer, which therefore sees a hidden patch as
    zeros.

    Args:
        config: architecture, number of classes, pooling, dropout on the input.
        conv1_hiding: hides cells of the first layer's output while training (see :class:`MeanHiding`); None hides none.

    Raises:
        UsageError: the architecture does not come in this width, or not without batch norm.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: ImageConfig, conv1_hiding: PatchHiding | None = None) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("image_mean", torch.zeros(3))
        self.register_buffer("image_std", torch.ones(3))
        trunk = TRUNKS[config.architecture](config)
        self.first, self.rest, self.pretrained = trunk.first, trunk.rest, trunk.pretrained
        self.conv1_hiding = None if conv1_hiding is None else MeanHiding(conv1_hiding, trunk.first_channels)
        self.head = CamHead(trunk.channels, config.num_classes, config.pooling, config.topk_divisor)

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes: logits ``(B, C)`` of RGB images ``(B, 3, H, W)``, uint8 or float 0..255."""
        return self.head(self.features(images))

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores (logits) ``(B, C)`` and CAM ``(B, C, h, w)`` of images as in :meth:`forward`."""
        cam = self.head.cam(self.features(images))
        return self.head.pool(cam), cam

    def features(self, images: Tensor) -> Tensor:
        """Compute the feature maps that the head takes, ``(B, D, h, w)``, of images as in :meth:`forward`."""
        x = normalise(images, self.image_mean, self.image_std).contiguous(memory_format=torch.channels_last)
        config = self.config
        if config.input_dropout:
            x = F.dropout(x, config.input_dropout, self.training or config.input_dropout_at == "always")
        x = self.first(x)
        if self.conv1_hiding is not None:
            x = self.conv1_hiding(x)
        return self.rest(x)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise images ``(B, C, H, W)`` to float32: subtract the mean ``(C,)``, divide by the deviation ``(C,)``."""
    return (images.float() - mean[:, None, None]) / std[:, None, None]


class MeanHiding(nn.Module):
    """Hide cells of feature maps while training; they take the running mean of their channel.

    Args:
        hiding: chooses the cells.
        channels: of the maps.
    """

    mean: Tensor
    steps: Tensor

    def __init__(self, hiding: PatchHiding, channels: int) -> None:
        super().__init__()
        self.hiding = hiding
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Hide cells of maps ``(B, C, h, w)``; return them as they are in ``eval()``."""
        if self.training:
            with torch.no_grad():
                self.steps += 1
                weight = (1 / self.steps).clamp(min=CONV1_MOMENTUM)  # a plain mean of the first hundred batches
                self.mean.lerp_(x.float().mean(dim=(0, 2, 3)), weight)
            self.hiding.fill = self.mean
        return self.hiding(x)
