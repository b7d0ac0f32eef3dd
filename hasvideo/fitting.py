"""From features and video-level labels to a localizer, and from that to detections: the weakly-supervised recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.datasets.thumos import FeatureVideos, VideoBatch, VideoSample, collate, feature_statistics
from hasvideo.extents import read_detections
from hasvideo.hiding import SegmentHiding
from hasvideo.model import Model
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.recipe import Classification, HidingConfig, Recipe
from hasvideo.training import Augmented, Metrics, train
from hasvideo.types import Detections, TimeGrid, VideoInfo
from hasvideo.video.features import FeatureMeta


def fit(
    features: Sequence[np.ndarray],
    labels: Sequence[Iterable[str]],
    meta: FeatureMeta,
    recipe: Recipe,
    *,
    classes: Sequence[str] | None = None,
    background: str = "",
    init: nn.Module | None = None,
    name: str = "",
    **options: Any,
) -> tuple[Model, list[Metrics]]:
    """Train a localizer on video-level labels.

    Args:
        features: raw, ``(T, D)`` of each video, float16 or float32, in memory or mapped.
        labels: classes of each video.
        meta: what the features are; it travels with the model.
        recipe: network, hiding, optimizer and how the CAM is read.
        classes: names of the outputs; by default all that occur, sorted.
        background: the class that means "no action"; it is trained like any other and never reported.
        init: head to start from, see :func:`kinetics_head`; without it weights are drawn from the recipe's seed.
        name: of the model.
        options: ``folder``, ``resume``, ``tensorboard``, ``device``, ``progress``, ``validation``: see
            :func:`hasvideo.training.train`.

    Returns:
        The model, and the metrics of each epoch: ``loss`` and ``accuracy`` (the most probable class is a label).
    """
    names = tuple(sorted({label for video in labels for label in video}) if classes is None else classes)
    videos = FeatureVideos(features, labels, names)
    torch.manual_seed(recipe.training.seed)
    network = TemporalNetwork(replace(recipe.network, in_channels=meta.dim, num_classes=len(names)))
    mean, std = feature_statistics(features)
    network.feature_mean.copy_(mean)
    network.feature_std.copy_(std)
    if init is not None:
        network.head.load_state_dict(init.state_dict())
    samples = Augmented(videos, SegmentHider(network, recipe.hiding), recipe.training.seed)
    criterion = VideoCriterion(recipe.network.classification)
    history = train(network, criterion, samples, recipe.training, collate=collate, **options)
    model = Model(
        name,
        names,
        meta.extractor,
        meta.weights_sha256,
        meta.grid,
        network.cpu().eval(),
        recipe.rule,
        recipe.min_class_score,
        background,
    )
    return model, history


class SegmentHider:
    """Hides segments of a :class:`VideoSample`, as :class:`hasvideo.training.Augmented` wants it.

    The fill is in the space of the raw features, which is what the network takes: it normalises them itself, after
    hiding. A hidden segment therefore is the average feature under every normalisation.

    Args:
        network: knows mean and standard deviation of the training features.
        config: what is hidden.
    """

    def __init__(self, network: TemporalNetwork, config: HidingConfig) -> None:
        fill = torch.zeros(()) if config.fill == "zero" else network.feature_mean.clone()
        noise = network.feature_std.clone() if config.fill == "noise" else None
        self.hiding = SegmentHiding(config.num_segments, config.p, fill, noise, inplace=True)

    def __call__(self, sample: VideoSample, generator: torch.Generator) -> VideoSample:
        """The sample with its features overwritten."""
        return sample._replace(features=self.hiding(sample.features[None], generator=generator)[0])


class VideoCriterion:
    """Loss and accuracy of each video from its class scores.

    Args:
        classification: ``softmax``: cross-entropy with the labels' indicator divided by their number (paper);
            ``sigmoid``: mean of the classes' binary cross-entropies.
    """

    def __init__(self, classification: Classification) -> None:
        self.classification = classification

    def __call__(self, network: nn.Module, batch: VideoBatch) -> dict[str, Tensor]:
        """``loss`` and ``accuracy`` (1 where the most probable class is among the labels), each ``(B,)``."""
        scores, _ = network(batch.features, batch.lengths)
        hit = batch.targets.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0]
        return {"loss": self._loss(scores, batch.targets), "accuracy": hit}

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self.classification == "sigmoid":
            return F.binary_cross_entropy_with_logits(scores, targets, reduction="none").mean(dim=1)
        return F.cross_entropy(scores, targets / targets.sum(dim=1, keepdim=True).clamp(min=1), reduction="none")


def detect(
    model: Model, features: Mapping[str, np.ndarray], durations: Mapping[str, float | None] | None = None
) -> list[Detections]:
    """Localize actions in videos whose features are ready, with the model's own settings.

    Args:
        model: what :func:`fit` returned, or a loaded checkpoint.
        features: raw features ``(T, D)`` by video.
        durations: seconds by video; where unknown, the features' own extent.
    """
    return [_detect_in(model, video, array, (durations or {}).get(video)) for video, array in features.items()]


def _detect_in(model: Model, video: str, features: np.ndarray, duration: float | None) -> Detections:
    duration = _extent(model.grid, len(features)) if duration is None else duration
    detections = Detections(
        video=video,
        info=VideoInfo(Path(video), duration, model.grid.fps, 0, 0),
        intervals=(),
        activations=tuple(a for a in model.activations(features) if a.score >= model.min_class_score),
        edges=model.grid.edges(len(features), duration),
        rule=model.rule,
        model=model.name,
    )
    return read_detections(detections)


def _extent(grid: TimeGrid, length: int) -> float:
    """Seconds that features span, if the last one's cell is as long as the others."""
    return float(grid.centers(length)[-1] + grid.step / 2)
