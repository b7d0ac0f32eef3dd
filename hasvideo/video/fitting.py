"""Train a localizer on features and video-level labels, and detect with it: the weakly-supervised recipe."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hasvideo.cam import CamHead
from hasvideo.errors import UsageError
from hasvideo.extents import apply_rule
from hasvideo.features.store import FeatureMeta
from hasvideo.hiding import SegmentHiding, length_mask
from hasvideo.networks.config import Classification
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.training import Augmented, Metrics, train
from hasvideo.types import Detections, TimeGrid, VideoInfo
from hasvideo.video.dataset import FeatureVideos, VideoBatch, VideoSample, collate, feature_statistics
from hasvideo.video.model import Model
from hasvideo.video.recipe import HidingConfig, Recipe


def fit(
    features: Sequence[np.ndarray],
    labels: Sequence[Iterable[str]],
    meta: FeatureMeta,
    recipe: Recipe,
    *,
    classes: Sequence[str] | None = None,
    background: str = "",
    init: CamHead | None = None,
    name: str = "",
    **options: Any,
) -> tuple[Model, list[Metrics]]:
    """Train a localizer on video-level labels.

    Args:
        features: raw, ``(T, D)`` of each video, float16 or float32, in memory or on disk (see ``load_features``).
        labels: classes of each video.
        meta: what the features are; it travels with the model.
        recipe: network, hiding, optimizer, and the rule that turns the CAM into intervals.
        classes: names of the outputs; by default all that occur, sorted.
        background: the class that means "no action"; it is trained like any other and never reported.
        init: head to start from, see :func:`head_for`; without it weights are drawn from the recipe's seed.
        name: of the model.
        options: ``folder``, ``resume``, ``tensorboard``, ``device``, ``progress``, ``validation``: see
            :func:`hasvideo.training.train`.

    Returns:
        The model, and the metrics of each epoch: ``loss`` and ``accuracy`` (the most probable class is a label).

    Raises:
        UsageError: a label is not among the classes, or there is none.
        ValueError: there are not as many videos with labels as with features.
        RuntimeError: the features are not as wide as ``meta`` says, or ``init`` is of other sizes.
        HasvideoError: features on disk are damaged, or see :func:`hasvideo.training.train`.
    """
    names = tuple(sorted({label for video in labels for label in video}) if classes is None else classes)
    videos = FeatureVideos(features, labels, names)
    if recipe.network.normalisation == "standardise" and recipe.hiding.p > 0:
        warnings.warn(
            "hiding with standardised features has cost most of the mAP wherever it was measured: normalisation center "
            "or none keeps its gain (docs/results.md)",
            stacklevel=2,
        )
    torch.manual_seed(recipe.training.seed)
    network = TemporalNetwork(replace(recipe.network, in_channels=meta.dim, num_classes=len(names)))
    mean, std = feature_statistics(features)
    network.feature_mean.copy_(mean)
    network.feature_std.copy_(std)
    if init is not None:
        network.head.load_state_dict(init.state_dict())
    samples = Augmented(videos, SegmentHider(network, recipe.hiding), recipe.training.seed)
    criterion = VideoCriterion(recipe.network.classification, recipe.training.smoothness)
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
    """Hide segments of a :class:`VideoSample`; :class:`hasvideo.training.Augmented` calls it.

    The fill is a raw feature, as the network takes them: it normalises after hiding. So a hidden segment is the average
    feature under every normalisation.

    Args:
        network: has the mean and standard deviation of the training features.
        config: how much is hidden, and by what.
    """

    def __init__(self, network: TemporalNetwork, config: HidingConfig) -> None:
        fill = torch.zeros(()) if config.fill == "zero" else network.feature_mean.clone()
        noise = network.feature_std.clone() if config.fill == "noise" else None
        self.hiding = SegmentHiding(config.num_segments, config.p, fill, noise, inplace=True)

    def __call__(self, sample: VideoSample, generator: torch.Generator) -> VideoSample:
        """Hide segments of the sample, in place, and return it."""
        return sample._replace(features=self.hiding(sample.features[None], generator=generator)[0])


class VideoCriterion:
    """Compute loss and accuracy of each video from its class scores.

    Args:
        classification: ``softmax``: cross-entropy with the labels' indicator divided by their number (paper);
            ``sigmoid``: mean of the classes' binary cross-entropies.
        smoothness: weight of the squared steps of the CAM from one time step to the next, summed over the classes and
            averaged over the video.
    """

    def __init__(self, classification: Classification, smoothness: float = 0.0) -> None:
        self.classification, self.smoothness = classification, smoothness

    def __call__(self, network: nn.Module, batch: VideoBatch) -> dict[str, Tensor]:
        """Compute ``loss`` and ``accuracy`` (1 if the most probable class is among the labels), each ``(B,)``."""
        scores, cam = network(batch.features, batch.lengths)
        hit = batch.targets.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0]
        loss = self._loss(scores, batch.targets)
        if self.smoothness:
            loss = loss + self.smoothness * _roughness(cam, batch.lengths)
        return {"loss": loss, "accuracy": hit}

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self.classification == "sigmoid":
            return F.binary_cross_entropy_with_logits(scores, targets, reduction="none").mean(dim=1)
        return F.cross_entropy(scores, targets / targets.sum(dim=1, keepdim=True).clamp(min=1), reduction="none")


def _roughness(cam: Tensor, lengths: Tensor) -> Tensor:
    """Sum the squared differences of CAMs ``(B, C, T)`` between time steps, over each video's length: ``(B,)``."""
    inside = length_mask(lengths - 1, cam.shape[2] - 1)[:, None]
    return (cam.diff(dim=2).square() * inside).sum(dim=(1, 2)) / lengths


def head_for(base: Model, classes: Sequence[str], names: Mapping[str, str] | None = None) -> CamHead:
    """Make a head for other classes from a trained model's head.

    A class that the model knows takes its weights; any other takes the mean of all classes that the model knows.

    Args:
        base: a model without layers, such as ``kinetics400``.
        classes: the new outputs.
        names: the name in ``base`` of each new class that is called otherwise there.

    Raises:
        UsageError: the model has layers, or a name is unknown.
    """
    if base.network.config.layers or base.network.config.head_kernel > 1:
        raise UsageError(f"cannot start from {base.name}: its head works on layers of its own, not on features")
    wanted = {label: label for label in classes if label in base.classes} | dict(names or {})
    for label, known in wanted.items():
        if label not in classes:
            raise UsageError(f"no video has the label {label!r}; labels: {', '.join(classes)}")
        if known not in base.classes:
            close = difflib.get_close_matches(known, base.classes, n=3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise UsageError(f"{base.name} has no class {known!r}{hint}")
    theirs, head = base.network.head, CamHead(base.dim, len(classes), bias=base.network.config.bias)
    rows = [base.classes.index(wanted[label]) if label in wanted else None for label in classes]
    for ours, values in zip(head.parameters(), theirs.parameters(), strict=True):
        ours.data = torch.stack([values.detach().mean(dim=0) if row is None else values.detach()[row] for row in rows])
    return head


def detect(
    model: Model, features: Mapping[str, np.ndarray], durations: Mapping[str, float | None] | None = None
) -> list[Detections]:
    """Localize actions in videos whose features are ready, with the model's own settings.

    Args:
        model: what :func:`fit` returned, or a loaded checkpoint.
        features: raw features ``(T, D)`` by video.
        durations: seconds by video; a video without one ends where its features end.

    Raises:
        HasvideoError: features are not of the network's size.
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
    return apply_rule(detections)


def _extent(grid: TimeGrid, length: int) -> float:
    """Compute how many seconds the features span, if the last one's cell is as long as the others."""
    return float(grid.centers(length)[-1] + grid.step / 2)
