"""The settings of a training: what a localizer is made of besides its videos. Without torch, for commands to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hasvideo.errors import UsageError
from hasvideo.extents import check_rule
from hasvideo.networks.config import TemporalConfig
from hasvideo.settings import TrainingConfig, check_choices
from hasvideo.types import IntervalRule

Fill = Literal["mean", "zero", "noise"]


@dataclass(frozen=True)
class HidingConfig:
    """What is hidden from the network while it trains.

    Raises:
        UsageError: a setting is out of its range.
    """

    num_segments: int = 20  # equal parts of a video, each hidden or shown as a whole [the paper's]
    p: float = 0.5  # probability that a part is hidden; 0 hides nothing, the Video-GAP baseline [the paper's]
    fill: Fill = "mean"  # what hidden features become: the training features' mean, zero, or noise [the paper's]

    def __post_init__(self) -> None:
        if self.num_segments < 1 or not 0 <= self.p <= 1:
            raise UsageError(f"hiding needs num_segments >= 1 and p from 0 to 1, got {self}")
        check_choices(self, fill=Fill)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a localizer besides its videos. The defaults are the paper's, where it names them.

    Raises:
        UsageError: a setting is out of its range.
    """

    network: TemporalConfig = field(default_factory=TemporalConfig)  # in_channels and num_classes follow the data
    hiding: HidingConfig = field(default_factory=HidingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    rule: IntervalRule = field(default_factory=IntervalRule)  # how localize reads the CAM by default
    min_class_score: float = 0.1  # probability from which a class is localized

    def __post_init__(self) -> None:
        check_rule(self.rule)
        if not 0 <= self.min_class_score <= 1:
            raise UsageError(f"min_class_score is a probability, 0 to 1, got {self.min_class_score}")


OWN_VIDEOS = Recipe(
    network=TemporalConfig(
        layers=0, head_kernel=3, input_dropout=0.7, pooling="topk", topk_divisor=16, normalisation="center"
    ),
    hiding=HidingConfig(num_segments=40, p=0.25),
    training=TrainingConfig(epochs=100, schedule="cosine", weight_decay=0.0, smoothness=1.0),
    rule=IntervalRule(threshold=0.2),
    min_class_score=0.05,
)
"""What ``hasvideo train`` trains by default."""

WHY_OWN_VIDEOS = {
    "network.layers": "cross-validated; the paper: 2",
    "network.channels": "the paper's; unused with 0 layers",
    "network.kernel": "the paper's; unused with 0 layers",
    "network.dropout": "unused with 0 layers",
    "network.input_dropout": "raised mAP from 58 to 68 in cross-validation; the paper has none",
    "network.head_kernel": "cross-validated, with the dropout; the paper: 1",
    "network.pooling": "twice the mAP of the paper's average",
    "network.topk_divisor": "hiding wants few steps; with 5 it costs mAP",
    "network.normalisation": "mAP 80 in cross-validation; 74 with none, the paper's; 63 with standardise",
    "hiding.num_segments": "10 to 40 do equally well; the paper: 20",
    "hiding.p": "0.15 to 0.4 do equally well; the paper's 0.5 hides whole actions",
    "training.schedule": "cross-validated",
    "training.weight_decay": "cross-validated; the paper, for images: 0.0005",
    "training.smoothness": "raised mAP from 68 to 78 in cross-validation; the paper has none",
    "threshold": "no network was best at the paper's 0.5",
    "min_class_score": "every network was best at it",
}
"""Why a default of ``hasvideo train`` is as it is, by setting: docs/results.md has the numbers."""
