"""Train a segmentation network on images with masks, and let it predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.datasets.segmentation import Segmented, SegmentedImages
from hasvideo.image.model import load_image_model
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.fcn import Fcn, load_encoder
from hasvideo.segmentation.jitter import Collate, Jitter
from hasvideo.segmentation.model import SegmentationModel
from hasvideo.segmentation.recipe import SegmentationRecipe
from hasvideo.training import Augmented, Metrics, train
from hasvideo.types import IGNORE


def fit(
    samples: SegmentedImages,
    classes: Sequence[str],
    recipe: SegmentationRecipe,
    *,
    backbone: str | Path | None = None,
    name: str = "",
    **options: Any,
) -> tuple[SegmentationModel, list[Metrics]]:
    """Train a segmentation network.

    Args:
        samples: images and masks.
        classes: names of the outputs, in the order of the masks' numbers.
        recipe: network, jitter and optimizer.
        backbone: checkpoint of an image localizer, trained with or without hiding, whose convolutions the encoder
            starts from; None draws all weights from the recipe's seed.
        name: of the model.
        options: ``folder``, ``resume``, ``tensorboard``, ``device``, ``progress``: see
            :func:`hasvideo.training.train`.

    Returns:
        The model, and the metrics of each epoch: ``loss`` and ``accuracy``, of pixels.

    Raises:
        UsageError: the backbone is not there, or not the network's.
        HasvideoError: the backbone is not a checkpoint of an image localizer, or training fails.
    """
    torch.manual_seed(recipe.training.seed)
    network, _ = start(replace(recipe.network, num_classes=len(classes)), backbone)
    if backbone is None:
        mean, std = samples.statistics
        network.image_mean.copy_(mean)
        network.image_std.copy_(std)
    network.to(memory_format=torch.channels_last)
    fill = network.image_mean.clone()
    augmented = Augmented(samples, Jitter(recipe.jitter, fill), recipe.training.seed)
    history = train(network, criterion, augmented, recipe.training, collate=Collate(fill), **options)
    return SegmentationModel(name, tuple(classes), network.cpu().eval()), history


def start(config: FcnConfig, backbone: str | Path | None) -> tuple[Fcn, str]:
    """Make a network to train, and a line that says where its weights are from.

    Args:
        config: of the network.
        backbone: checkpoint to start from, as in :func:`fit`; None draws all weights.

    Raises:
        UsageError: the backbone is not there, or not the network's.
        HasvideoError: the backbone is not a checkpoint of an image localizer.
    """
    network = Fcn(config)
    if backbone is None:
        return network, "all weights are drawn at random; the class scores start at zero"
    return network, load_encoder(network, load_image_model(Path(backbone)).network, str(backbone))


def criterion(network: nn.Module, batch: Segmented) -> dict[str, Tensor]:
    """Compute ``loss`` (cross-entropy) and ``accuracy`` of each image, ``(B,)``: means over the pixels that count."""
    scores, target = network(batch.image), batch.mask.long()
    counted = target != IGNORE
    pixels = counted.sum(dim=(1, 2)).clamp(min=1)
    loss = F.cross_entropy(scores, target, reduction="none", ignore_index=IGNORE)
    right = (scores.argmax(dim=1) == target) & counted
    return {"loss": loss.sum(dim=(1, 2)) / pixels, "accuracy": right.sum(dim=(1, 2)) / pixels}


def predict(model: SegmentationModel, samples: SegmentedImages) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Segment images; yield the id of each, the predicted class numbers and the true ones, both uint8 ``(H, W)``."""
    for index, image in enumerate(samples.ids):
        sample = samples[index]
        yield image, model.segment(sample.image.permute(1, 2, 0).numpy()), sample.mask.numpy()
