"""The settings of a training: what a localizer is made of besides its videos. Without torch, for commands to show."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from hasvideo.errors import UsageError
from hasvideo.types import IntervalRule, ThresholdMode

if TYPE_CHECKING:
    from hasvideo.commands import CommandParser, Namespace

Pooling = Literal["average", "max", "topk"]
Normalisation = Literal["none", "center", "standardise", "l2"]
Classification = Literal["softmax", "sigmoid"]
Fill = Literal["mean", "zero", "noise"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine", "steps"]
Precision = Literal["no", "fp16", "bf16"]


@dataclass(frozen=True)
class TemporalConfig:
    """What a :class:`hasvideo.networks.temporal.TemporalNetwork` is made of; it travels in the checkpoint.

    Raises:
        UsageError: a setting is out of its range.
    """

    in_channels: int = 1024  # D of the features: 1024 for I3D RGB, 2048 with flow, 4096 for C3D
    num_classes: int = 20  # outputs of the head: the classes of THUMOS 2014
    layers: int = 2  # the paper's two temporal convolutions; 0 is a head right on the features
    channels: int = 500  # kernels in each convolution, the paper's
    kernel: int = 1  # time steps a kernel sees; the paper's convolutions are 1×1
    dropout: float = 0.0  # after each convolution; the paper names none for videos
    input_dropout: float = 0.0  # of single numbers of the normalised features; the paper has none
    head_kernel: int = 1  # time steps that the classifier itself sees; the paper's sees one
    pooling: Pooling = "average"  # GAP, the paper's; max and topk are its rivals
    topk_divisor: int = 5  # topk pools the T // 5 highest time steps, used with pooling = topk only
    bias: bool = True  # of the head, added at every time step of the CAM
    smoothing: int = 0  # times that the CAM is averaged with its neighbours, 1/4 1/2 1/4; the paper's is as it comes
    normalisation: Normalisation = "none"  # raw features, as in the paper
    classification: Classification = "softmax"  # the paper's; sigmoid makes classes independent

    def __post_init__(self) -> None:
        if min(self.in_channels, self.num_classes, self.channels, self.topk_divisor) < 1 or self.layers < 0:
            raise UsageError(f"a network needs positive sizes and layers >= 0, got {self}")
        for name in ("kernel", "head_kernel"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise UsageError(f"{name} must be odd, so that time steps keep their place, got {getattr(self, name)}")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        check_choices(self, pooling=Pooling, normalisation=Normalisation, classification=Classification)

    def to_dict(self) -> dict[str, Any]:
        """Plain dict for JSON; ``TemporalConfig(**d)`` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class HidingConfig:
    """What is hidden from the network while it trains.

    Raises:
        UsageError: a setting is out of its range.
    """

    num_segments: int = 20  # equal parts of a video, the paper's number
    p: float = 0.5  # probability that a part is hidden, the paper's; 0 hides nothing (the Video-GAP baseline)
    fill: Fill = "mean"  # the mean of the raw training features, the paper's; zero and noise are ablations

    def __post_init__(self) -> None:
        if self.num_segments < 1 or not 0 <= self.p <= 1:
            raise UsageError(f"hiding needs num_segments >= 1 and p from 0 to 1, got {self}")
        check_choices(self, fill=Fill)


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: what decides the result besides network, data and hiding.

    Raises:
        UsageError: a setting is out of its range.
    """

    epochs: int = 100  # enough for a few hundred videos to converge
    batch_size: int = 16  # samples of a step, over all processes
    optimizer: Optimizer = "adam"  # usual for features; the paper's image networks take sgd
    learning_rate: float = 1e-3  # adam's own default
    momentum: float = 0.9  # of sgd, the paper's
    weight_decay: float = 5e-4  # the paper's, for images
    decay_epochs: int = 0  # weights decay in so many epochs and no more (the paper's AlexNet: 30); 0 for all
    schedule: Schedule = "constant"  # adam needs none for so few epochs
    steps: dict[int, float] = field(default_factory=dict)  # schedule = steps: learning rate from each epoch on, from 0
    smoothness: float = 0.0  # weight in the loss of the squared steps of a video's CAM over time; the paper has none
    clip_norm: float = 0.0  # largest norm of the gradient; 0 leaves it
    precision: Precision = "no"  # float32; the networks are small
    seed: int = 0  # of weights, order and hiding
    workers: int = 0  # processes that load samples; features in memory need none

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or min(self.workers, self.decay_epochs) < 0:
            raise UsageError(f"epochs and batch_size must be at least 1, workers and decay_epochs 0: got {self}")
        if not (self.learning_rate > 0 and min(self.momentum, self.weight_decay, self.smoothness, self.clip_norm) >= 0):
            raise UsageError(
                f"learning_rate must be above 0; momentum, weight_decay, smoothness, clip_norm at least 0: got {self}"
            )
        check_choices(self, optimizer=Optimizer, schedule=Schedule, precision=Precision)

    def check_without_time(self) -> None:
        """Refuse what trainings on images have no use for.

        Raises:
            UsageError: ``smoothness`` is set.
        """
        if self.smoothness:
            raise UsageError(f"smoothness is for CAMs over time, images have none: got {self.smoothness:g}")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        reached = [start for start in self.steps if start <= epoch] if self.schedule == "steps" else []
        return self.steps[max(reached)] if reached else self.learning_rate

    def decay(self, epoch: int) -> float:
        """Weight decay of an epoch, counted from 0."""
        return self.weight_decay if not self.decay_epochs or epoch < self.decay_epochs else 0.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a localizer besides its videos. The defaults are the paper's, where it names them."""

    network: TemporalConfig = field(default_factory=TemporalConfig)  # in_channels and num_classes follow the data
    hiding: HidingConfig = field(default_factory=HidingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    rule: IntervalRule = field(default_factory=IntervalRule)  # how localize reads the CAM by default
    min_class_score: float = 0.1  # probability from which a class is localized in a video


def check_choices(settings: Any, **choices: Any) -> None:
    """Raise UsageError where a setting is none of its choices.

    Args:
        settings: a settings dataclass.
        choices: for a setting's name its ``Literal``.
    """
    for name, known in choices.items():
        if getattr(settings, name) not in get_args(known):
            raise UsageError(f"unknown {name} {getattr(settings, name)!r}; accepted: {', '.join(get_args(known))}")


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


def add_options(parser: CommandParser, defaults: Recipe) -> None:
    """Add an option for each setting, such as ``--hiding.p``; in a YAML file the groups are nested."""
    add_settings(parser, {group: getattr(defaults, group) for group in _GROUPS})
    rule, add = defaults.rule, parser.add_argument
    add("--threshold", type=float, default=rule.threshold, help="fraction of the CAM's range that begins an interval")
    add("--threshold-mode", choices=get_args(ThresholdMode), default=rule.mode, help="range: 0 to max, or min to max")
    add("--merge-gap", type=float, default=rule.merge_gap, help="seconds; closer intervals of a class become one")
    add("--min-duration", type=float, default=rule.min_duration, help="seconds; shorter intervals are dropped")
    add("--min-class-score", type=float, default=defaults.min_class_score, help="probability that localizes a class")


def add_settings(parser: CommandParser, groups: Mapping[str, Any], without: Sequence[str] = ()) -> None:
    """Add an option ``--<group>.<name>`` for each setting of settings dataclasses, but for what the data decide.

    Args:
        parser: of the command.
        groups: settings by group; their values are the defaults.
        without: names of settings that nothing reads in this task.
    """
    for group, settings in groups.items():
        types, reasons = get_type_hints(type(settings)), _reasons(type(settings))
        for name in reasons:
            if name not in (*_FROM_DATA, *without):
                option = f"--{group}.{name.replace('_', '-')}"
                parser.add_argument(option, type=types[name], default=getattr(settings, name), help=reasons[name])


def from_options(options: Namespace) -> Recipe:
    """The recipe that the options of :func:`add_options` say.

    Raises:
        UsageError: a setting is out of its range.
    """
    from hasvideo.extents import check_rule

    if not 0 <= options.min_class_score <= 1:
        raise UsageError(f"min_class_score is a probability, 0 to 1, got {options.min_class_score}")
    network, hiding, training = (kind(**vars(options[group])) for group, kind in _GROUPS.items())
    rule = IntervalRule(options.threshold, options.threshold_mode, options.merge_gap, options.min_duration)
    return Recipe(network, hiding, training, check_rule(rule), options.min_class_score)


_GROUPS = {"network": TemporalConfig, "hiding": HidingConfig, "training": TrainingConfig}
_FROM_DATA = ("in_channels", "num_classes")


def _reasons(settings: type) -> dict[str, str]:
    """The comment beside each field of a settings class: one text serves reader and ``--help``."""
    return dict(re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(settings), re.MULTILINE))
