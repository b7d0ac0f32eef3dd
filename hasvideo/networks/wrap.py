"""Get CAMs from other people's classifiers: networks that end in global average pooling and one linear layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hasvideo.errors import HasvideoError
from hasvideo.networks.gap import normalise
from hasvideo.networks.trunk import IMAGENET_MEAN, IMAGENET_STD

TOLERANCE = 1e-4  # of the largest number compared: rounding gives about 1e-6, a network of another structure about 1

_POOLINGS = (F.adaptive_avg_pool2d, F.avg_pool2d, torch.mean, Tensor.mean)


def wrap_classifier(
    model: nn.Module,
    size: int = 224,
    image_mean: Sequence[float] = IMAGENET_MEAN,
    image_std: Sequence[float] = IMAGENET_STD,
) -> WrappedClassifier:
    """Give a trained classifier CAMs, after checking that its scores are their means.

    >>> network = wrap_classifier(torchvision.models.densenet121(weights="DEFAULT")).eval()
    >>> scores, cam = network.localize(images)  # (B, 1000), (B, 1000, 7, 7) of images (B, 3, 224, 224), 0..255

    The CAM is Zhou et al.'s (CVPR 2016): the last linear layer applied at every cell of the feature map that the model
    averages. On random noise its mean over the cells must be the model's own logits, up to ``TOLERANCE``.

    Args:
        model: takes normalised RGB images ``(B, 3, H, W)``, gives logits ``(B, C)``. Kept, not copied.
        size: pixels of both sides of the noise; so many that the map has several cells.
        image_mean: of the channels RGB, 0..255, over the images that the model was trained with.
        image_std: standard deviation of the same channels.

    Raises:
        HasvideoError: the model averages no map, or does more with the average than one linear layer.
    """
    was_training = model.training
    parameter = next(model.parameters(), torch.zeros(()))
    noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(parameter)
    try:
        with torch.no_grad():
            _check(model.eval(), noise)
    finally:
        model.train(was_training)
    return WrappedClassifier(model, image_mean, image_std).to(parameter.device).train(was_training)


class WrappedClassifier(nn.Module):
    """A classifier with the methods of :class:`hasvideo.networks.gap.GapNetwork`; made by :func:`wrap_classifier`."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, model: nn.Module, image_mean: Sequence[float], image_std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("image_mean", torch.tensor(image_mean, dtype=torch.float32))
        self.register_buffer("image_std", torch.tensor(image_std, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes: logits ``(B, C)`` of RGB images ``(B, 3, H, W)``, uint8 or float 0..255."""
        return self.model(normalise(images, self.image_mean, self.image_std))

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores (logits) ``(B, C)`` and CAM ``(B, C, h, w)`` of images as in :meth:`forward`.

        In ``eval()`` the scores are the means of the CAM, as :func:`wrap_classifier` checked.
        """
        with _Head(self.model) as head:
            scores = self(images)
        return scores, head.cam()


class _Linear(NamedTuple):
    """What ``F.linear`` is called with."""

    input: Tensor  # (B, D)
    weight: Tensor  # (C, D)
    bias: Tensor | None = None  # (C,)


class _Head(TorchFunctionMode):
    """Record, while a model runs, the map that it averages last, and the last linear layer after that.

    It watches functions rather than modules, because some models pool without a module, as DenseNet does.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = type(model).__name__
        self.averaged: Tensor | None = None
        self.linear: _Linear | None = None

    def __torch_function__(
        self, func: Callable, types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _POOLINGS:
            x = args[0] if args else kwargs["input"]
            if x.ndim == 4:
                self.averaged, self.linear = x, None
        elif func is F.linear:
            self.linear = _Linear(*args, **kwargs)
        return func(*args, **kwargs)

    def parts(self) -> tuple[Tensor, _Linear]:
        """Return the map ``(B, D, h, w)`` and the linear layer.

        Raises:
            HasvideoError: the model lacks one of them.
        """
        if self.averaged is None:
            raise HasvideoError(f"{self.model} gives no CAM: it averages no feature map")
        if self.linear is None:
            raise HasvideoError(f"{self.model} gives no CAM: it has no linear layer after its average pooling")
        return self.averaged, self.linear

    def cam(self) -> Tensor:
        """Compute the CAM ``(B, C, h, w)`` of the run; raises what :meth:`parts` raises."""
        features, linear = self.parts()
        return F.conv2d(features, linear.weight[..., None, None], linear.bias)


def _check(model: nn.Module, images: Tensor) -> None:
    """Check that the logits are the mean of the model's CAM.

    Raises:
        HasvideoError: they are not.
    """
    with _Head(model) as head:
        logits = model(images)
    features, linear = head.parts()
    channels, *cells = features.shape[1:]
    if not _same(linear.input, features.mean(dim=(2, 3))):
        raise HasvideoError(
            f"{head.model} gives no CAM: its last linear layer, of {linear.weight.shape[1]} inputs, is not given the "
            f"average of its last feature map, of {channels} channels, as it is: other layers stand between them"
        )
    if math.prod(cells) == 1:
        raise HasvideoError(f"{head.model} gives no CAM of {images.shape[-1]} pixels: its feature map is one cell")
    if not _same(logits, head.cam().mean(dim=(2, 3))):
        raise HasvideoError(f"{head.model} gives no CAM: what it answers is not what its last linear layer gives")


def _same(found: Any, expected: Tensor) -> bool:
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())
