"""Change training images and their masks at random, and put them into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from hasvideo.datasets.segmentation import Segmented
from hasvideo.segmentation.recipe import JitterConfig
from hasvideo.types import IGNORE


class Jitter:
    """Scale, crop and mirror an image and its mask alike; :class:`hasvideo.training.Augmented` calls it.

    Masks are scaled to the nearest pixel. Where a crop reaches beyond the image, it takes the mean colour, and its
    pixels do not count.

    Args:
        config: which changes, and how strong.
        mean: of the training images' channels, 0..255.
    """

    def __init__(self, config: JitterConfig, mean: Tensor) -> None:
        self.config = config
        self.fill = mean.round().tolist()

    def __call__(self, sample: Segmented, generator: torch.Generator) -> Segmented:
        """Return a changed copy of a sample."""
        image, mask = tv_tensors.Image(sample.image), tv_tensors.Mask(sample.mask)
        for step in self._steps(sample.mask.shape, *torch.rand(4, generator=generator).tolist()):
            image, mask = step(image), step(mask)
        return Segmented(image.as_subclass(Tensor), mask.as_subclass(Tensor))

    def _steps(
        self, shape: Sequence[int], scale: float, down: float, across: float, mirror: float
    ) -> Iterator[Callable[[Any], Any]]:
        """Choose what to do to image and mask, given their height and width and four numbers from 0 to below 1."""
        config = self.config
        size = [
            max(1, round(side * (config.min_scale + scale * (config.max_scale - config.min_scale)))) for side in shape
        ]
        if size != list(shape):
            yield lambda x: v2.functional.resize(x, size, antialias=True)
        if config.crop:
            lacking = [max(0, config.crop - side) for side in size]
            top, left = (int(part * (max(side - config.crop, 0) + 1))
                         for part, side in zip((down, across), size, strict=True))  # fmt: skip
            yield lambda x: v2.functional.pad(x, [0, 0, lacking[1], lacking[0]], fill=self._fill(x))
            yield lambda x: v2.functional.crop(x, top, left, config.crop, config.crop)
        if config.flip and mirror < 0.5:
            yield v2.functional.horizontal_flip

    def _fill(self, x: Tensor) -> list[float] | float:
        return self.fill if isinstance(x, tv_tensors.Image) else IGNORE


class Collate:
    """Put images of any sizes into a batch: the mean colour, whose pixels do not count, pads them to the largest.

    Args:
        mean: of the training images' channels, 0..255.
    """

    def __init__(self, mean: Tensor) -> None:
        self.fill = mean.round().to(torch.uint8)[:, None, None]

    def __call__(self, samples: Sequence[Segmented]) -> Segmented:
        """Make a batch of samples."""
        height, width = (max(s.mask.shape[side] for s in samples) for side in (0, 1))
        images = self.fill.repeat(len(samples), 1, height, width)
        masks = torch.full((len(samples), height, width), IGNORE, dtype=torch.uint8)
        for place, sample in enumerate(samples):
            inside = (..., slice(sample.mask.shape[0]), slice(sample.mask.shape[1]))
            images[place][inside], masks[place][inside] = sample.image, sample.mask
        return Segmented(images, masks)
