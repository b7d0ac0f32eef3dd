"""A trained model of actions in videos, with everything that is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from hasvideo.checkpoint import TrainedModel, checkpoint_classes, checkpoint_kind, load
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.scratch import blocks, empty, forget
from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.types import Activation, IntervalRule, TimeGrid

BLOCK = 1024  # time steps that the network takes at once
CLASS_BLOCK = 4  # classes that are pooled at once, where time steps came in blocks
KINETICS400 = "kinetics400"


@dataclass(frozen=True)
class Model(TrainedModel):
    """A network and how to feed and read it.

    Attributes:
        name: ``kinetics400`` or the path of the checkpoint.
        classes: names of the network's outputs, in their order.
        extractor: name of the feature extractor, such as ``i3d``.
        weights_sha256: hash of the extractor's weights; empty where unknown.
        grid: where in time the features lie that the network was trained on.
        network: takes raw features ``(B, T, D)``.
        rule: how its CAM is best read.
        min_class_score: video-level probability, 0..1, from which a class is localized.
        background: the class that means "no action", which is never reported; empty where there is none.

    Raises:
        HasvideoError: the number of classes is not the network's.
    """

    kind: ClassVar[str] = "actions"
    name: str
    classes: tuple[str, ...]
    extractor: str
    weights_sha256: str
    grid: TimeGrid
    network: TemporalNetwork
    rule: IntervalRule = field(default_factory=IntervalRule)
    min_class_score: float = 0.1
    background: str = ""

    @classmethod
    def build(cls, name: str, settings: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        """Make the model of a checkpoint; see :meth:`hasvideo.checkpoint.TrainedModel.build`."""
        network = TemporalNetwork(TemporalConfig(**settings["network"]))
        network.load_state_dict(tensors)
        return cls(
            name,
            tuple(settings["classes"]),
            settings["extractor"],
            settings["weights_sha256"],
            TimeGrid(**settings["grid"]),
            network.eval(),
            IntervalRule(**settings["rule"]),
            settings["min_class_score"],
            settings["background"],
        )

    @property
    def dim(self) -> int:
        """D, the channels of the features it takes."""
        return self.network.config.in_channels

    @property
    def reach(self) -> int:
        """Time steps on either side on which a step of the CAM depends."""
        config = self.network.config
        return config.layers * (config.kernel // 2) + config.head_kernel // 2 + config.smoothing

    def activations(self, features: np.ndarray) -> tuple[Activation, ...]:
        """Compute temporal CAM and probability of every class but the background, by falling probability.

        Memory does not grow with T: the maps share one array, which beyond 16 MiB lies in a temporary file.

        Args:
            features: raw features of one video, ``(T, D)``.

        Raises:
            HasvideoError: the features are not of the network's size, there are none, or the disk is full.
        """
        if features.ndim != 2 or features.shape[1] != self.dim or not len(features):
            raise HasvideoError(f"model {self.name} takes features (T, {self.dim}), T >= 1; got {features.shape}")
        self.network.eval()
        with torch.inference_mode():
            scores, curves = self._run(features) if len(features) <= BLOCK else self._run_in_blocks(features)
            probabilities = self.network.probabilities(scores)[0].cpu().numpy()
        order = np.argsort(-probabilities, kind="stable")
        return tuple(
            Activation(self.classes[c], float(probabilities[c]), curves[c])
            for c in order
            if self.classes[c] != self.background
        )

    def _run(self, features: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Compute class scores ``(1, C)`` and CAM ``(C, T)``."""
        device = self.network.feature_mean.device
        packed = torch.from_numpy(np.asarray(features, np.float32)).to(device)
        scores, cam = self.network(packed, torch.tensor([len(features)], device=device))
        return scores, cam[0].float().cpu().numpy()

    def _run_in_blocks(self, features: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Do the same for any length: time steps in blocks with their context, then classes in blocks."""
        length, device = len(features), self.network.feature_mean.device
        curves = empty((len(self.classes), length))
        for first in range(0, length, BLOCK):
            low, last = max(0, first - self.reach), min(first + BLOCK, length)
            _, cam = self._run(features[low : last + self.reach])
            curves[:, first:last] = cam[:, first - low : last - low]
            forget(features)
            forget(curves)
        scores = torch.empty(1, len(curves), device=device)  # one for all: small ones would keep freed memory apart
        for part, some in zip(scores.split(CLASS_BLOCK, dim=1), blocks(curves, CLASS_BLOCK), strict=True):
            part.copy_(self.network.head.pool(torch.from_numpy(some).to(device)[None]))
        return scores, curves


def load_model(name: str | Path) -> Model:
    """Load ``kinetics400``, or a checkpoint of actions.

    Args:
        name: ``kinetics400`` or the checkpoint's path.

    Raises:
        UsageError: neither a built-in model nor a file.
        HasvideoError: the weights cannot be had, or the file is not a checkpoint.
    """
    return kinetics400() if str(name) == KINETICS400 else load(_checkpoint_path(name), Model)


def model_kind(name: str | Path) -> str:
    """Tell what any model localizes, without loading its weights: ``actions``, ``objects`` or ``segments``.

    Args:
        name: ``kinetics400`` or the checkpoint's path.

    Raises:
        UsageError: neither a built-in model nor a file.
        HasvideoError: the file is not a checkpoint.
    """
    return Model.kind if str(name) == KINETICS400 else checkpoint_kind(_checkpoint_path(name))


def class_names(name: str | Path) -> tuple[str, ...]:
    """List the classes of any model, without loading its weights.

    Args:
        name: ``kinetics400`` or the checkpoint's path.

    Raises:
        UsageError: neither a built-in model nor a file.
        HasvideoError: the file is not a checkpoint.
    """
    return _kinetics_classes() if str(name) == KINETICS400 else checkpoint_classes(_checkpoint_path(name))


def _checkpoint_path(name: str | Path) -> Path:
    try:
        exists = Path(name).exists()
    except OSError as error:
        raise UsageError(f"cannot look at the model {name}: {error.strerror}") from error
    if not exists:
        raise UsageError(f"unknown model {str(name)!r}: neither {KINETICS400} nor a checkpoint file")
    return Path(name)


def kinetics400() -> Model:
    """Load I3D's own classifier, applied at every time step: unpooled it is the temporal CAM, pooled the scores.

    A class's score is the mean over the highest quarter of the video. Kinetics clips show their action all along, so
    for them the mean over all steps was right; in an untrimmed video an action would drown in it. The classifier was
    trained on means over time, so its single steps are noisy and a little smoothing helps. docs/results.md has what
    either is worth.

    Raises:
        HasvideoError: the weights cannot be had.
    """
    from hasvideo.features.extractors.i3d import WEIGHTS_NAME, I3DExtractor
    from hasvideo.weights import load_weights

    weights = load_weights(WEIGHTS_NAME)
    classes = _kinetics_classes()
    network = TemporalNetwork(
        TemporalConfig(I3DExtractor.dim, len(classes), layers=0, pooling="topk", topk_divisor=4, smoothing=3)
    )
    network.head.load_state_dict({"weight": weights["logits.weight"].flatten(1), "bias": weights["logits.bias"]})
    return Model(
        KINETICS400,
        classes,
        I3DExtractor.name,
        I3DExtractor.weights_sha256,
        I3DExtractor.grid,
        network.eval(),
        min_class_score=0.05,
    )


def _kinetics_classes() -> tuple[str, ...]:
    # DeepMind's names, in its order. They are torchvision's too, which takes two seconds to import.
    return tuple(Path(__file__).with_name("kinetics400.txt").read_text(encoding="utf-8").splitlines())
