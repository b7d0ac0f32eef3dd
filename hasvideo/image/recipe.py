"""The settings of an image localizer's training. Without torch, for commands to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from hasvideo.errors import UsageError
from hasvideo.networks.config import ImageConfig
from hasvideo.settings import TrainingConfig, add_settings, check_choices
from hasvideo.types import BoxRule, ThresholdMode

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser, Namespace

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
        UsageError: a setting of the training is for videos only.
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
}
"""Why a default of ``hasvideo train_imagenet`` is as it is, where that is another reason than for videos."""


def add_options(parser: CommandParser, defaults: ImageRecipe) -> None:
    """Add an option for each setting, such as ``--hiding.sizes``; in a YAML file the groups are nested."""
    add_settings(parser, {group: getattr(defaults, group) for group in _GROUPS}, WHY, without=["smoothness"])
    add, rule = parser.add_settings_group("boxes").add_argument, defaults.rule
    add("--threshold", type=float, default=rule.threshold,
        help="fraction of the CAM's range that a box is put around [the paper's for AlexNet]")  # fmt: skip
    add("--threshold-mode", choices=get_args(ThresholdMode), default=rule.mode,
        help="the range: 0 to the maximum, or minimum to maximum [the paper's]")  # fmt: skip


def from_options(options: Namespace) -> ImageRecipe:
    """The recipe that the options of :func:`add_options` say.

    Raises:
        UsageError: a setting is out of its range.
    """
    from hasvideo.extents import check_rule

    network, hiding, training = (kind(**vars(options[group])) for group, kind in _GROUPS.items())
    return ImageRecipe(network, hiding, training, check_rule(BoxRule(options.threshold, options.threshold_mode)))


_GROUPS = {"network": ImageConfig, "hiding": PatchConfig, "training": TrainingConfig}
