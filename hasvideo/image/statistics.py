"""The statistics of training images, which networks normalise by and hidden patches are filled with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def channel_statistics(images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all pixels, float32 ``(3,)`` in 0..255, the latter at least 1.

    Args:
        images: RGB ``(3, H, W)`` each, 0..255, of any sizes; at least one.
    """
    sums, squares, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
    for image in images:
        pixels = image.flatten(1).double()
        sums += pixels.sum(dim=1)
        squares += pixels.square().sum(dim=1)
        count += pixels.shape[1]
    mean = sums / count
    return mean.float(), (squares / count - mean**2).clamp(min=1.0).sqrt().float()
