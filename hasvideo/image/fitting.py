"""Train a localizer on images and their classes, and draw boxes by it: the weakly-supervised recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.datasets.imagenet import ImageSample, LabelledImages
from hasvideo.extents import find_boxes
from hasvideo.hiding import PatchHiding
from hasvideo.image.model import ImageModel
from hasvideo.image.recipe import ImageRecipe, PatchConfig
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.gap import GapNetwork
from hasvideo.training import Augmented, Metrics, train
from hasvideo.types import Activation, Box, BoxRule

_BATCH = 16  # images of a prediction at once


def fit(
    samples: LabelledImages,
    classes: Sequence[str],
    recipe: ImageRecipe,
    *,
    prepare: Callable[[GapNetwork], object] | None = None,
    name: str = "",
    **options: Any,
) -> tuple[ImageModel, list[Metrics]]:
    """Train a localizer on images and their classes.

    Args:
        samples: the images, of the config's ``resize``.
        classes: names of the outputs, in the order of the samples' targets.
        recipe: network, hiding, optimizer and how the CAM is read.
        prepare: changes the new network before training, such as to load weights.
        name: of the model.
        options: ``folder``, ``resume``, ``tensorboard``, ``device``, ``progress``: see
            :func:`hasvideo.training.train`.

    Returns:
        The model, and the metrics of each epoch: ``loss`` and ``accuracy``.
    """
    torch.manual_seed(recipe.training.seed)
    config = replace(recipe.network, num_classes=len(classes))
    in_network = PatchHiding(recipe.hiding.sizes, recipe.hiding.p) if _in_network(recipe.hiding) else None
    network = GapNetwork(config, in_network)
    mean, std = samples.statistics
    network.image_mean.copy_(mean)
    network.image_std.copy_(std)
    if prepare is not None:
        prepare(network)
    network.to(memory_format=torch.channels_last)
    augmented = Augmented(samples, CropAndHide(config, recipe.hiding, network.image_mean.clone()), recipe.training.seed)
    history = train(network, criterion, augmented, recipe.training, **options)
    return ImageModel(name, tuple(classes), network.cpu().eval(), recipe.rule), history


def _in_network(hiding: PatchConfig) -> bool:
    return hiding.at == "conv1" and hiding.p > 0


class CropAndHide:
    """Crops, flips and hides patches of an :class:`ImageSample` (paper), for :class:`hasvideo.training.Augmented`.

    Args:
        config: says the crop.
        hiding: what is hidden from the image.
        mean: of the training images' channels, 0..255, which hidden patches take.
    """

    def __init__(self, config: ImageConfig, hiding: PatchConfig, mean: Tensor) -> None:
        self.crop = config.crop
        self.hiding = None
        if hiding.p > 0 and hiding.at == "image":
            self.hiding = PatchHiding(hiding.sizes, hiding.p, mean, inplace=True)

    def __call__(self, sample: ImageSample, generator: torch.Generator) -> ImageSample:
        """Return a random crop, flipped in half of the cases, with patches hidden; the sample stays as it is."""
        rest = sample.image.shape[-1] - self.crop
        top, left, flip = (int(torch.randint(n, (), generator=generator)) for n in (rest + 1, rest + 1, 2))
        image = sample.image[:, top : top + self.crop, left : left + self.crop]
        image = image.flip(-1) if flip else image.clone(memory_format=torch.contiguous_format)
        return sample._replace(image=image if self.hiding is None else self.hiding(image, generator))


def criterion(network: nn.Module, batch: ImageSample) -> dict[str, Tensor]:
    """Compute ``loss`` (cross-entropy) and ``accuracy`` of each image, ``(B,)``."""
    scores = network(batch.image)
    return {
        "loss": F.cross_entropy(scores, batch.target, reduction="none"),
        "accuracy": (scores.argmax(dim=1) == batch.target).float(),
    }


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image whose class is known.

    Attributes:
        label: the true class.
        activations: of the most probable classes, by falling probability, at least five where there are so many.
        known: of the true class.
    """

    label: str
    activations: tuple[Activation, ...]
    known: Activation


def predict(model: ImageModel, samples: LabelledImages, most: int = 5) -> Iterator[Prediction]:
    """Classify images and give the CAMs of their true and ``most`` probable classes.

    Args:
        model: what was trained.
        samples: the images, of the ``resize`` of the network's config.
        most: classes of an image, the true one aside.
    """
    for first in range(0, len(samples), _BATCH):
        batch = [samples[index] for index in range(first, min(first + _BATCH, len(samples)))]
        probabilities, cams = model.square_maps(torch.stack([sample.image for sample in batch]))
        for row, maps, sample in zip(probabilities, cams, batch, strict=True):
            found = {c: Activation(model.classes[c], float(row[c]), maps[c].copy()) for c in _top(row, most)}
            true = int(sample.target)
            known = found.get(true) or Activation(model.classes[true], float(row[true]), maps[true].copy())
            yield Prediction(model.classes[true], tuple(found.values()), known)


def largest_box(activation: Activation, width: int, height: int, rule: BoxRule) -> Box | None:
    """Draw the box around the largest component of a CAM, None where it has no extent.

    Args:
        activation: the CAM, of any resolution.
        width: of the image, pixels.
        height: of the image, pixels.
        rule: says which pixels of the CAM count.
    """
    return next(iter(find_boxes(activation, width, height, rule)), None)


def _top(probabilities: np.ndarray, most: int) -> list[int]:
    return np.argsort(-probabilities, kind="stable")[:most].tolist()
