"""The classification head whose weights are the class activation map, for any number of dimensions."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.types import Pooling


class CamHead(nn.Linear):
    """Classify every cell of a feature map, and pool the answers to scores of the whole.

    A cell is a time step of a video or a pixel of a feature map. One linear classifier answers at each of them,
    ``cam[c, s] = w[c] · x[s] + b[c]``: these answers are the class activation map of Zhou et al. (CVPR 2016). Pooled
    over the cells, they are the class scores.

    >>> head = CamHead(1024, 20, pooling="max")
    >>> cam = head.cam(features)         # (B, 20, *S) of features (B, 1024, *S)
    >>> scores = head.pool(cam, mask)    # (B, 20), cells with mask False never count
    >>> scores = head(features, mask)    # the same, and cheaper for average pooling

    Its parameters are ``weight (C, D)`` and ``bias (C,)``.

    Args:
        in_channels: D, channels of the features.
        num_classes: C.
        pooling: ``average`` (GAP, the paper), ``max`` (GMP, Oquab et al., CVPR 2015) or ``topk``: the mean of the
            highest ``max(1, cells // topk_divisor)`` answers of a class (as in W-TALC, Paul et al., ECCV 2018).
        topk_divisor: divides the number of cells, see ``pooling``.
        bias: whether the classifier has one, added at every cell.

    Raises:
        ValueError: an unknown pooling, or a ``topk_divisor`` below 1.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        pooling: Pooling = "average",
        topk_divisor: int = 5,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, num_classes, bias=bias)
        if pooling not in get_args(Pooling):
            raise ValueError(f"unknown pooling {pooling!r}; known: {', '.join(get_args(Pooling))}")
        if topk_divisor < 1:
            raise ValueError(f"topk_divisor must be at least 1, got {topk_divisor}")
        self.pooling = pooling
        self.topk_divisor = topk_divisor

    def cam(self, features: Tensor) -> Tensor:
        """Compute the class activation map ``(B, C, *S)`` of features ``(B, D, *S)``."""
        cam = self.weight @ features.flatten(2)  # (B, C, cells)
        if self.bias is not None:
            cam = cam + self.bias[:, None]
        return cam.unflatten(2, features.shape[2:])

    def pool(self, cam: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool a CAM ``(B, C, *S)`` to class scores (logits) ``(B, C)``.

        Args:
            cam: class activation map.
            mask: bool ``(B, *S)``, False at padding. Each sample needs a True cell; without one its scores are not
                finite.
        """
        cam = cam.flatten(2)  # (B, C, cells)
        if self.pooling == "average":
            return _masked_mean(cam, mask)
        if mask is not None:
            cam = cam.masked_fill(~mask.flatten(1)[:, None], -math.inf)
        if self.pooling == "max":
            return cam.amax(dim=2)
        return self._mean_of_highest(cam, mask)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Score the classes: logits ``(B, C)`` of features ``(B, D, *S)``; ``mask`` is as in :meth:`pool`."""
        if self.pooling == "average":
            # The mean of linear answers is the answer to the mean, and that is a single cell to classify.
            return F.linear(_masked_mean(features.flatten(2), mask), self.weight, self.bias)
        return self.pool(self.cam(features), mask)

    def extra_repr(self) -> str:
        """Show the pooling beside what ``nn.Linear`` shows."""
        return f"{super().extra_repr()}, pooling={self.pooling}"

    def _mean_of_highest(self, cam: Tensor, mask: Tensor | None) -> Tensor:
        cells = cam.shape[2]
        if mask is None:
            return cam.topk(max(1, cells // self.topk_divisor), dim=2).values.mean(dim=2)
        # Samples differ in how many cells count: take as many as the fullest sample may need, then mask the surplus.
        counts = (mask.flatten(1).sum(dim=1) // self.topk_divisor).clamp(min=1)  # (B,)
        highest = cam.topk(max(1, cells // self.topk_divisor), dim=2).values  # (B, C, k of the fullest sample)
        beyond = torch.arange(highest.shape[2], device=cam.device) >= counts[:, None]  # (B, k)
        return highest.masked_fill(beyond[:, None], 0).sum(dim=2) / counts[:, None]


def _masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Average values ``(B, C, cells)`` over the cells where ``mask (B, *S)`` is True."""
    if mask is None:
        return values.mean(dim=2)
    keep = mask.flatten(1)[:, None]  # (B, 1, cells)
    return values.masked_fill(~keep, 0).sum(dim=2) / keep.sum(dim=2)
