"""The settings of an image localizer's training. Without torch, for commands to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hasvideo.errors import UsageError
from hasvideo.extents import check_rule
from hasvideo.networks.config import ImageConfig
from hasvideo.settings import TrainingConfig, check_choices
from hasvideo.types import BoxRule

HidingPlace = Literal["image", "conv1"]


@dataclass(frozen=True)
class PatchConfig:
    """What is hidden from the network while it trains.

    Raises:
        UsageError: a setting is out of its range.
    """

    sizes: tuple[int, ...] = (0, 16, 32, 44, 56)  # pixels; a size is drawn for each image, 0: none [the paper's mix]
    p: float = 0.5  # probability that a patch is hidden; 0 hides nothing, the GAP baseline [the paper's]
    at: HidingPlace = "image"  # conv1: cells of the first layer's answers, sizes in cells [the paper's]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or min(self.sizes) < 0 or not 0 <= self.p <= 1:
            raise UsageError(f"hiding needs sizes >= 0 and p from 0 to 1, got {self}")
        check_choices(self, at=HidingPlace)


@dataclass(frozen=True)
class ImageRecipe:
    """Everything that decides an image localizer besides its images. The defaults are the paper's for AlexNet.

    Raises:
        UsageError: a setting is out of its range, or one of the training is for videos only.
    """

    network: ImageConfig = field(default_factory=ImageConfig)  # num_classes follows the data
    hiding: PatchConfig = field(default_factory=PatchConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=55,
            batch_size=128,
            optimizer="sgd",
            learning_rate=1e-2,
            weight_decay=5e-4,
            decay_epochs=30,
            schedule="steps",
            steps={18: 5e-3, 29: 1e-3, 43: 5e-4, 52: 1e-4},
        )
    )
    rule: BoxRule = field(default_factory=BoxRule)  # how boxes are read off the CAM

    def __post_init__(self) -> None:
        self.training.check_without_time()
        check_rule(self.rule)


WHY = {
    "training.epochs": "the paper's for AlexNet",
    "training.batch_size": "the paper's",
    "training.optimizer": "the paper's",
    "training.learning_rate": "the paper's",
    "training.weight_decay": "the paper's",
    "training.decay_epochs": "the paper's for AlexNet",
    "training.schedule": "the paper's",
    "training.steps": "the paper's for AlexNet",
    "training.workers": "with --in-memory enough",
    "threshold": "the paper's for AlexNet",
    "threshold_mode": "the paper's",
}
"""Why a default of ``hasvideo train_imagenet`` is as it is, where that is another reason than for videos."""
